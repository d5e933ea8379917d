import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { Inject, Injectable, Logger, Module, type DynamicModule, type Provider } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  InjectLocks,
  Locked,
  LockConfigurationError,
  LockModule,
  LockService,
  lockServiceToken,
  LockUnavailableError,
  memory,
  type LockModuleAsyncOptions,
  type LockModuleOptions,
  type LockOptionsFactory,
} from 'nestjs-interlock';
import { faulty, ManualClock } from 'nestjs-interlock/testing';
import { failure } from '../support/failure.js';
import { closeLater } from '../support/http-app.js';
import { listedKeys } from '../support/listed.js';

afterEach(() => {
  jest.restoreAllMocks();
});

async function boot(imports: readonly (DynamicModule | (new () => object))[], providers: Provider[] = []) {
  const app = await Test.createTestingModule({ imports: [...imports], providers }).compile();
  return closeLater(await app.init());
}

/** What a service was set up with shows in the keys that it uses, which a shared backend sees. */
async function prefixOf(locks: LockService, backend: LockModuleOptions['backend']): Promise<string[]> {
  await using lease = await locks.acquire('probe');
  expect(lease.held).toBe(true);
  return backend ? listedKeys(backend) : [];
}

@Injectable()
class Seats {
  constructor(readonly locks: LockService) {}

  @Locked('seat')
  async sell(): Promise<string> {
    return 'sold';
  }
}

describe('forRoot', () => {
  test('needs no options: the locks are in this process', async () => {
    const app = await boot([LockModule.forRoot()], [Seats]);
    expect(await app.get(Seats).sell()).toBe('sold');
    expect(app.get(Seats).locks).toBe(app.get(LockService));
    expect(app.get(lockServiceToken())).toBe(app.get(LockService));
  });

  test('[57] two applications of one module class have nothing in common by default', async () => {
    @Module({ imports: [LockModule.forRoot()], providers: [Seats] })
    class AppModule {}
    const [first, second] = [await boot([AppModule]), await boot([AppModule])];
    const lease = await first.get(LockService).acquire('seat');
    expect(await second.get(Seats).sell()).toBe('sold');
    await first.close();
    expect(lease.signal.aborted).toBe(true);
    expect(await second.get(Seats).sell()).toBe('sold');
  });

  test('[57] two applications with one backend exclude each other', async () => {
    @Module({ imports: [LockModule.forRoot({ backend: memory() })] })
    class AppModule {}
    const [first, second] = [await boot([AppModule]), await boot([AppModule])];
    const lease = await first.get(LockService).acquire('seat');
    expect(await second.get(LockService).tryAcquire('seat')).toBeNull();
    await lease.release();
    await first.close();
    expect(await second.get(LockService).tryAcquire('seat')).not.toBeNull();
  });

  test.each<[string, unknown, string]>([
    ['null', null, 'The options of LockModule are null; give an object.'],
    ['a text', 'redis://x', 'The options of LockModule are "redis://x"; give an object.'],
    ['a list', [], 'The options of LockModule are an array; give an object.'],
    [
      'an unknown setting',
      { tll: '5s' },
      'There is no setting "tll"; there are prefix, identity, ttl, wait, callTimeout, startTimeout, shutdownTimeout, clock.',
    ],
    [
      'a prefix with a colon',
      { prefix: 'a:b' },
      'prefix is "a:b"; give 1 to 64 letters, digits or any of _ . / @ - (no colon: it separates the prefix from the key).',
    ],
    [
      'an identity with a space',
      { identity: 'me too' },
      'identity is "me too"; give 1 to 64 letters, digits or any of _ . : @ - to name this replica.',
    ],
    [
      'a backend that is none',
      { backend: 'redis' },
      'backend is "redis" without start(); give memory(), redis(…), or another LockBackend.',
    ],
    [
      'half a backend',
      { backend: { start() {}, claim() {} } },
      'backend is an object without abandon(); give memory(), redis(…), or another LockBackend.',
    ],
    [
      'a name with a space',
      { name: 'a b' },
      'The name of a lock service is "a b"; give 1 to 64 letters, digits or any of _ . -, or leave it out for the default one.',
    ],
    ['global that is no boolean', { global: 'yes' }, 'global is "yes"; give true or false.'],
  ])('refuses %s at once, in a sentence', (_, options, sentence) => {
    const forRoot = () => LockModule.forRoot(options as never);
    expect(forRoot).toThrow(LockConfigurationError);
    expect(forRoot).toThrow(new Error(sentence));
  });

  test.each([
    { ttl: 0 },
    { wait: -1 },
    { callTimeout: 1 },
    { startTimeout: '1 year' },
    { shutdownTimeout: NaN },
  ])('refuses %p at once, and names the setting', (settings) => {
    const forRoot = () => LockModule.forRoot(settings as never);
    expect(forRoot).toThrow(LockConfigurationError);
    expect(forRoot).toThrow(new RegExp(`^${Object.keys(settings)[0]} is `));
  });
});

describe('forRootAsync', () => {
  const PREFIX = Symbol('prefix');

  @Module({ providers: [{ provide: PREFIX, useValue: 'from-elsewhere' }], exports: [PREFIX] })
  class Elsewhere {}

  const backend = memory();

  @Injectable()
  class Options implements LockOptionsFactory {
    async createLockOptions(): Promise<LockModuleOptions> {
      return { backend, prefix: 'from-class' };
    }
  }

  @Module({ providers: [Options], exports: [Options] })
  class OptionsModule {}

  const WAYS: readonly [string, string, LockModuleAsyncOptions][] = [
    [
      'useFactory with inject and imports',
      'from-elsewhere',
      {
        imports: [Elsewhere],
        inject: [PREFIX],
        useFactory: (prefix: string) => ({ backend, prefix }),
      },
    ],
    ['useFactory that takes its time', 'later', { useFactory: async () => ({ backend, prefix: 'later' }) }],
    ['useClass', 'from-class', { useClass: Options }],
    ['useExisting', 'from-class', { imports: [OptionsModule], useExisting: Options }],
    [
      'an optional dependency that is not there',
      'none',
      {
        inject: [{ token: 'nowhere', optional: true }],
        useFactory: (given?: string) => ({ backend, prefix: given ?? 'none' }),
      },
    ],
  ];

  test.each(WAYS)('takes its options from %s', async (_, prefix, options) => {
    const app = await boot([LockModule.forRootAsync(options)], [Seats]);
    expect(await prefixOf(app.get(LockService), backend)).toEqual([`${prefix}:probe`]);
    expect(await app.get(Seats).sell()).toBe('sold');
  });

  test('useClass injects into the class what its module imports', async () => {
    @Injectable()
    class Injected implements LockOptionsFactory {
      constructor(@Inject(PREFIX) private readonly prefix: string) {}
      createLockOptions(): LockModuleOptions {
        return { backend, prefix: this.prefix };
      }
    }
    const app = await boot([LockModule.forRootAsync({ imports: [Elsewhere], useClass: Injected })]);
    expect(await prefixOf(app.get(LockService), backend)).toEqual(['from-elsewhere:probe']);
  });

  test('useExisting takes the instance that is there, and makes none of its own', async () => {
    let made = 0;
    @Injectable()
    class Counted implements LockOptionsFactory {
      constructor() {
        made++;
      }
      createLockOptions(): LockModuleOptions {
        return {};
      }
    }
    @Module({ providers: [Counted], exports: [Counted] })
    class CountedModule {}
    await boot([LockModule.forRootAsync({ imports: [CountedModule], useExisting: Counted })]);
    expect(made).toBe(1);
  });

  const factory = () => ({});
  test.each<[string, unknown, string]>([
    [
      'none of the three',
      {},
      'LockModule.forRootAsync was given 0 of useFactory, useClass and useExisting; give exactly one.',
    ],
    [
      'two of the three',
      { useFactory: factory, useClass: Options },
      'LockModule.forRootAsync was given 2 of useFactory, useClass and useExisting; give exactly one.',
    ],
    [
      'all three',
      { useFactory: factory, useClass: Options, useExisting: Options },
      'LockModule.forRootAsync was given 3 of useFactory, useClass and useExisting; give exactly one.',
    ],
    [
      'a setting beside the factory',
      { useFactory: factory, ttl: '5s' },
      'LockModule.forRootAsync has no option "ttl"; there are name, global, imports, inject, useFactory, useClass, useExisting. Settings like ttl belong into what the factory returns.',
    ],
    ['nothing', undefined, 'The options of LockModule are undefined; give an object.'],
  ])('refuses %s at once', (_, options, sentence) => {
    const forRootAsync = () => LockModule.forRootAsync(options as never);
    expect(forRootAsync).toThrow(LockConfigurationError);
    expect(forRootAsync).toThrow(new Error(sentence));
  });

  test.each<[string, unknown, string]>([
    ['returns nothing', undefined, 'The options of LockModule are undefined; give an object.'],
    ['returns an unknown setting', { url: 'redis://x' }, 'There is no setting "url"; there are prefix,'],
    [
      'returns a name, which comes too late',
      { name: 'billing' },
      'name has to be known before the factory runs; give it to LockModule.forRootAsync beside the factory.',
    ],
  ])('does not boot when the factory %s', async (_, given, sentence) => {
    const module = LockModule.forRootAsync({ useFactory: () => given as LockModuleOptions });
    const error = await failure(Test.createTestingModule({ imports: [module] }).compile());
    expect(error).toBeInstanceOf(LockConfigurationError);
    expect((error as Error).message.startsWith(sentence)).toBe(true);
  });
});

describe('global', () => {
  @Module({ providers: [Seats], exports: [Seats] })
  class SeatsModule {}

  test('by default: every module has the service', async () => {
    const app = await boot([LockModule.forRoot(), SeatsModule]);
    expect(await app.get(Seats).sell()).toBe('sold');
  });

  test('false: who does not import it does not get it', async () => {
    const testing = Test.createTestingModule({
      imports: [LockModule.forRoot({ global: false }), SeatsModule],
    });
    expect(await failure(testing.compile())).toMatchObject({
      message: expect.stringContaining("Nest can't resolve dependencies of the Seats"),
    });
  });

  test('[56] false: a guarded method in a module that does not import it refuses to run', async () => {
    let ran = 0;
    @Injectable()
    class Jobs {
      @Locked('job')
      async work() {
        ran++;
      }
    }
    @Module({ providers: [Jobs], exports: [Jobs] })
    class JobsModule {}
    const app = await boot([LockModule.forRoot({ global: false }), JobsModule]);
    expect(await failure(app.get(Jobs).work())).toBeInstanceOf(LockConfigurationError);
    expect(ran).toBe(0);
  });

  test('false: who imports it gets it', async () => {
    const locks = LockModule.forRoot({ global: false });
    @Module({ imports: [locks], providers: [Seats] })
    class Importing {}
    expect(await (await boot([Importing])).get(Seats).sell()).toBe('sold');
  });
});

describe('names', () => {
  @Injectable()
  class Billing {
    constructor(
      @InjectLocks('billing') readonly locks: LockService,
      @InjectLocks() readonly usual: LockService,
    ) {}

    @Locked('bill', { locks: 'billing', wait: 0, onBusy: () => 'busy' })
    async pay(): Promise<string> {
      return 'paid';
    }
  }

  test.each([
    ['forRoot', LockModule.forRoot({ name: 'billing' })],
    ['forRootAsync', LockModule.forRootAsync({ name: 'billing', useFactory: () => ({}) })],
  ])('tell several services apart, by %s', async (_, billing) => {
    const app = await boot([LockModule.forRoot(), billing], [Billing]);
    const { locks, usual } = app.get(Billing);
    expect(usual).toBe(app.get(LockService));
    expect(locks).toBe(app.get(lockServiceToken('billing')));
    expect(locks).not.toBe(usual);
    await usual.acquire('bill');
    expect(await app.get(Billing).pay()).toBe('paid');
    await locks.acquire('bill');
    expect(await app.get(Billing).pay()).toBe('busy');
  });

  test('a service with a name does not stand in for the one without', async () => {
    const testing = Test.createTestingModule({
      imports: [LockModule.forRoot({ name: 'billing' })],
      providers: [Seats],
    });
    expect(await failure(testing.compile())).toMatchObject({
      message: expect.stringContaining("Nest can't resolve dependencies of the Seats"),
    });
  });

  test('lockServiceToken replaces what decorators and constructors get', async () => {
    const mine = new LockService(memory());
    const app = await Test.createTestingModule({ imports: [LockModule.forRoot()], providers: [Seats] })
      .overrideProvider(lockServiceToken())
      .useValue(mine)
      .compile();
    closeLater(await app.init());
    await mine.acquire('seat');
    expect(app.get(Seats).locks).toBe(mine);
    const sold = app.get(Seats).sell();
    await new Promise(setImmediate);
    expect(mine.gauges).toEqual({ held: 1, waiting: 1, owed: 0 });
    await mine.forceRelease('seat');
    expect(await sold).toBe('sold');
  });
});

describe('a backend that does not start', () => {
  const refusing = () => faulty(memory(), { call: 1, method: 'start', fault: 'before' });

  test('makes the boot fail, with its sentence', async () => {
    const app = await Test.createTestingModule({
      imports: [LockModule.forRoot({ backend: refusing() })],
    }).compile();
    const error = await failure(app.init());
    expect(error).toBeInstanceOf(LockUnavailableError);
    expect(error).toMatchObject({
      message:
        'The lock backend "memory" did not start: Planned: the start call no. 1 is denied before it is sent.',
    });
  });

  test('and says nothing within the startTimeout makes it fail as well', async () => {
    const clock = new ManualClock();
    const backend = faulty(memory(), { call: 1, method: 'start', fault: 'hang' });
    const module = LockModule.forRoot({ backend, clock, startTimeout: '2s' });
    const app = await Test.createTestingModule({ imports: [module] }).compile();
    const error = failure(app.init());
    await clock.advance(2_000);
    expect(await error).toMatchObject({
      name: 'LockUnavailableError',
      message: 'The lock backend "memory" did not start: the lock server did not answer within 2000 ms',
    });
  });

  test('[56] runs nothing guarded, also when somebody calls before the boot', async () => {
    const app = await Test.createTestingModule({
      imports: [LockModule.forRoot({ backend: faulty(memory(), () => 'before') })],
      providers: [Seats],
    }).compile();
    expect(await failure(app.get(Seats).sell())).toBeInstanceOf(LockUnavailableError);
    expect(await failure(app.init())).toBeInstanceOf(LockUnavailableError);
  });
});

describe('the log', () => {
  test('has one warning for a loss, and nothing for acquisitions, waits and time-outs', async () => {
    const lines: string[] = [];
    for (const level of ['log', 'warn', 'error'] as const) {
      jest.spyOn(Logger.prototype, level).mockImplementation((text: unknown) => {
        lines.push(`${level}: ${String(text)}`);
      });
    }
    const app = await boot([LockModule.forRoot({ identity: 'me' })], [Seats]);
    const locks = app.get(LockService);
    lines.length = 0;
    for (let n = 0; n < 10; n++) await app.get(Seats).sell();
    const lease = await locks.acquire('seat');
    expect(await failure(locks.acquire('seat', { wait: 5 }))).toMatchObject({ name: 'LockTimeoutError' });
    expect(await locks.tryAcquire('seat')).toBeNull();
    expect(lines).toEqual([]);
    await locks.forceRelease('seat');
    await new Promise(setImmediate);
    expect(lease.held).toBe(false);
    expect(() => lease.assertHeld()).toThrow('seat');
    expect(await lease.release()).toBe(false);
    expect(lines).toEqual([`warn: The lock "seat" (fence ${lease.fence}) was lost: gone.`]);
  });
});
