import { afterEach, describe, expect, test } from '@jest/globals';
import { Controller, Get, Injectable, Module, type DynamicModule } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  currentLease,
  InjectLocks,
  Locked,
  LockConfigurationError,
  LockError,
  LockLostError,
  LockModule,
  LockService,
  lockServiceToken,
  LockTimeoutError,
  LockUnavailableError,
  memory,
} from 'nestjs-interlock';
import {
  faulty,
  lockDriverToken,
  LockDriver,
  LockTestingModule,
  passThroughLocks,
  provideLocks,
} from 'nestjs-interlock/testing';
import { failure } from '../support/failure.js';

@Injectable()
class Orders {
  readonly settled: string[] = [];

  @Locked('order:<id>', { minHold: '10s' })
  async settle(id: string): Promise<bigint | undefined> {
    this.settled.push(id);
    return currentLease()?.fence;
  }

  /** Ends when the test says so. */
  @Locked('order:<0>')
  async during(_id: string, work: () => Promise<unknown>): Promise<unknown> {
    return work();
  }

  @Locked('stock', { onBusy: 'skip', wait: 0 })
  async count(): Promise<string> {
    return 'counted';
  }
}

@Injectable()
class Bills {
  @Locked('bill', { locks: 'billing', wait: 0 })
  async pay(): Promise<string> {
    return 'paid';
  }
}

const apps: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});

async function boot(...imports: DynamicModule[]) {
  const app = await Test.createTestingModule({ imports, providers: [Orders, Bills] }).compile();
  apps.push(app);
  return app.init();
}

async function drive(...args: Parameters<typeof LockTestingModule.driven>) {
  const app = await boot(LockTestingModule.driven(...args));
  return { app, orders: app.get(Orders), driver: app.get(LockDriver), locks: app.get(LockService) };
}

describe('passThrough', () => {
  test('[56] runs the body of @Locked with a lease that is held and has a fence', async () => {
    const orders = (await boot(LockTestingModule.passThrough())).get(Orders);
    const lease = await orders.during('1', async () => currentLease());
    expect(lease).toMatchObject({ key: 'order:1' });
    expect(await orders.settle('1')).toBeGreaterThan(0n);
    await orders.during('1', async () => currentLease()?.assertHeld());
  });

  test('grants a key that others hold, at once, to a hundred callers side by side', async () => {
    const app = await boot(LockTestingModule.passThrough());
    const locks = app.get(LockService);
    let inside = 0;
    let end = (): void => undefined;
    const all = new Promise<void>((resolve) => {
      end = resolve;
    });
    const calls = Array.from({ length: 100 }, () =>
      app.get(Orders).during('1', async () => {
        if (++inside === 100) end();
        await all;
      }),
    );
    await Promise.all(calls);
    expect(await locks.tryAcquire(['a', 'b'], { permits: 2, take: 2 })).not.toBeNull();
    expect(await locks.tryAcquire(['b', 'a'])).not.toBeNull();
    expect(locks.gauges).toEqual({ held: 4, waiting: 0, owed: 0 });
  });

  test('forgets minHold, so that a test can call twice', async () => {
    const orders = (await boot(LockTestingModule.passThrough())).get(Orders);
    await orders.settle('1');
    await orders.settle('1');
    expect(orders.settled).toEqual(['1', '1']);
  });

  test('still refuses what is wrong in a call', async () => {
    const app = await boot(LockTestingModule.passThrough());
    await expect(app.get(Orders).settle(undefined as never)).rejects.toThrow('<id> is undefined');
    await expect(app.get(LockService).acquire('a', { ttl: -1 })).rejects.toThrow(LockConfigurationError);
    expect(app.get(Orders).settled).toEqual([]);
  });

  test('takes the place of a service with a name', async () => {
    const app = await boot(
      LockTestingModule.passThrough(),
      LockTestingModule.passThrough({ name: 'billing' }),
    );
    expect(await app.get(Bills).pay()).toBe('paid');
    expect(app.get(lockServiceToken('billing'))).not.toBe(app.get(LockService));
  });

  test("overrides the service of an application's own module, whose backend is never started", async () => {
    const backend = faulty(memory());
    @Module({ imports: [LockModule.forRoot({ backend })], providers: [Orders] })
    class AppModule {}
    const app = await Test.createTestingModule({ imports: [AppModule] })
      .overrideProvider(lockServiceToken())
      .useValue(passThroughLocks())
      .compile();
    apps.push(app);
    await app.init();
    expect(await app.get(Orders).settle('1')).toBeGreaterThan(0n);
    expect(app.get(LockService)).toBe(app.get(lockServiceToken()));
    expect(backend.calls).toEqual([]);
  });
});

describe('driven', () => {
  test('a key that somebody else occupies is busy until it is freed', async () => {
    const { orders, driver } = await drive();
    await driver.occupy('order:7');
    const settled = orders.settle('7');
    await driver.advance('4s');
    expect(orders.settled).toEqual([]);
    await driver.free('order:7');
    await settled;
    expect(orders.settled).toEqual(['7']);
  });

  test('a call that waits for an occupied key times out when the test lets the time pass', async () => {
    const { orders, driver } = await drive({ wait: '2s' });
    await driver.occupy('order:7');
    const refusal = failure(orders.settle('7'));
    await driver.advance('2s');
    expect(await refusal).toMatchObject({
      name: 'LockTimeoutError',
      key: 'order:7',
      waitedMs: 2_000,
      holder: expect.stringContaining('somebody-else'),
    });
    expect(orders.settled).toEqual([]);
  });

  test('an occupied key stays so for an hour, and skipping calls see it', async () => {
    const { orders, driver } = await drive();
    await driver.occupy('stock');
    await driver.advance('1 hour');
    expect(await orders.count()).toBeUndefined();
    await driver.free('stock');
    expect(await orders.count()).toBe('counted');
  });

  test('others can share a key, or take some of its permits', async () => {
    const { driver, locks } = await drive();
    await driver.occupy('file', { mode: 'shared' });
    await driver.occupy('slots', { permits: 2, take: 1 });
    expect(await locks.tryAcquire('file', { mode: 'shared' })).not.toBeNull();
    expect(await locks.tryAcquire('file')).toBeNull();
    expect(await locks.tryAcquire('slots', { permits: 2 })).not.toBeNull();
    expect(await locks.tryAcquire('slots', { permits: 2 })).toBeNull();
  });

  test('[21] a lease that the test takes away is lost, and its holder told, before lose returns', async () => {
    const { driver, locks } = await drive();
    const lease = await locks.acquire('order:7');
    await driver.lose('order:7');
    expect(lease.held).toBe(false);
    expect(lease.signal.reason).toBeInstanceOf(LockLostError);
    expect(lease.signal.reason).toMatchObject({ reason: 'gone', key: 'order:7' });
  });

  test('[22] a lease ends while the server is silent, not earlier and not later than its ttl', async () => {
    const { driver, locks } = await drive({ ttl: '30s' });
    const lease = await locks.acquire('order:7');
    driver.goDown('silent');
    await driver.advance('29s');
    expect(lease.held).toBe(true);
    await driver.advance('1s');
    expect(lease.signal.reason).toMatchObject({ reason: 'silent' });
  });

  test('[20] a lease outlasts an outage that is shorter than its ttl', async () => {
    const { driver, locks } = await drive();
    const lease = await locks.acquire('order:7');
    driver.goDown();
    await driver.advance('20s');
    driver.comeUp();
    await driver.advance('1 hour');
    lease.assertHeld();
    expect(lease.held).toBe(true);
  });

  test('nothing guarded runs while the server is down, and all does again when it is up', async () => {
    const { orders, driver } = await drive({ wait: 0 });
    driver.goDown();
    await expect(orders.settle('7')).rejects.toThrow(LockUnavailableError);
    driver.comeUp();
    await orders.settle('8');
    expect(orders.settled).toEqual(['8']);
  });

  test('a silent server is given up after the callTimeout', async () => {
    const { orders, driver } = await drive({ wait: 0, callTimeout: '300ms' });
    driver.goDown('silent');
    const refusal = failure(orders.settle('7'));
    await driver.advance('300ms');
    expect(await refusal).toMatchObject({
      message: expect.stringContaining('did not answer within 300 ms'),
    });
    expect(orders.settled).toEqual([]);
  });

  test('the health goes down and up with the server, and its events tell', async () => {
    const { driver, locks } = await drive();
    const told: string[] = [];
    locks.events$.subscribe(({ type }) => type.startsWith('node-') && told.push(type));
    expect(await locks.health()).toMatchObject({ status: 'up' });
    driver.goDown();
    expect(await locks.health()).toMatchObject({ status: 'up' });
    await driver.advance('1s');
    expect(await locks.health()).toMatchObject({
      status: 'down',
      nodes: [{ node: 'memory', state: 'down' }],
      error: 'memory (embedded): the connection is refused.',
    });
    driver.comeUp();
    expect(await locks.health({ maxAge: 0 })).toMatchObject({ status: 'up' });
    driver.goDown('silent');
    const asked = locks.health({ timeout: '200ms', maxAge: 0 });
    await driver.advance('200ms');
    expect(await asked).toMatchObject({ status: 'down', error: expect.stringMatching(/no answer within/) });
    expect(told).toEqual(['node-down', 'node-up', 'node-down']);
  });

  test('[33] the application closes though time stands still, the server is down and leases are held', async () => {
    const { app, driver, locks } = await drive();
    const lease = await locks.acquire('a');
    await driver.occupy('b');
    const waiter = failure(locks.acquire('b', { wait: Infinity }));
    driver.goDown('silent');
    const unanswered = failure(locks.acquire('c'));
    await app.close();
    expect(await waiter).toBeInstanceOf(LockUnavailableError);
    expect(await unanswered).toBeInstanceOf(LockUnavailableError);
    expect(lease.signal.reason).toMatchObject({ reason: 'shutdown' });
    expect(locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
    expect(driver.clock.pendingTimers).toBe(0);
  });

  test('[57] two applications of one module have a driver, a clock and locks of their own', async () => {
    const module = LockTestingModule.driven();
    const first = (await boot(module)).get(LockDriver);
    const second = (await boot(module)).get(LockDriver);
    await first.occupy('a');
    await first.advance('1s');
    expect(second.clock.now()).toBe(0);
    expect(await second.locks.tryAcquire('a')).not.toBeNull();
  });

  test('a driver is found by the name of its service', async () => {
    const app = await boot(LockTestingModule.driven(), LockTestingModule.driven({ name: 'billing' }));
    const billing = app.get<LockDriver>(lockDriverToken('billing'));
    await billing.occupy('bill');
    await expect(app.get(Bills).pay()).rejects.toThrow(LockTimeoutError);
    await app.get(LockDriver).occupy('bill');
    await billing.free('bill');
    expect(await app.get(Bills).pay()).toBe('paid');
    expect(lockDriverToken()).toBe(LockDriver);
  });

  test('wrong settings and wrong uses are refused in a sentence', async () => {
    expect(() => LockTestingModule.driven({ ttl: 0 })).toThrow(LockConfigurationError);
    expect(() => LockTestingModule.driven({ backend: 1 } as never)).toThrow('There is no setting "backend"');
    expect(() => lockDriverToken('a b')).toThrow(LockConfigurationError);
    const { driver } = await drive();
    await expect(driver.free('a')).rejects.toThrow(
      new LockError('"a" is not occupied; call occupy(\'a\') first.'),
    );
    await expect(driver.lose('a')).rejects.toThrow('Nobody holds "a", so nobody can lose it.');
    await driver.occupy('a');
    await expect(driver.occupy('a')).rejects.toThrow(LockTimeoutError);
    await expect(driver.advance(-1)).rejects.toThrow('time is -1');
  });
});

describe('provideLocks', () => {
  test('[56] lets the guarded methods of an instance made by new run, which refuse without it', async () => {
    const orders = new Orders();
    await expect(orders.settle('1')).rejects.toThrow('provideLocks()');
    expect(orders.settled).toEqual([]);
    expect(provideLocks(orders)).toBe(orders);
    expect(await orders.settle('1')).toBeGreaterThan(0n);
    expect(orders.settled).toEqual(['1']);
  });

  test('makes the locks of a driver those of the instance, without an application', async () => {
    const driver = new LockDriver();
    const orders = provideLocks(new Orders(), driver.locks);
    await driver.occupy('stock');
    expect(await orders.count()).toBeUndefined();
    await driver.free('stock');
    expect(await orders.count()).toBe('counted');
    await driver.locks.stop();
  });

  test('leaves other instances of the class alone, and shows nothing to those who print or compare', async () => {
    const orders = provideLocks(new Orders());
    await expect(new Orders().settle('1')).rejects.toThrow(LockConfigurationError);
    expect(JSON.parse(JSON.stringify(orders))).toEqual({ settled: [] });
    expect(orders).toEqual(new Orders());
  });

  test('serves a named service by its name only', async () => {
    expect(await provideLocks(new Bills(), passThroughLocks(), 'billing').pay()).toBe('paid');
    expect(() => provideLocks(new Bills())).toThrow(
      'Bills has no method that is guarded by @Locked without the option locks',
    );
    expect(() => provideLocks(new Orders(), passThroughLocks(), 'billing')).toThrow(
      "Orders has no method that is guarded by @Locked with { locks: 'billing' }",
    );
  });

  test('refuses what is no instance, and what is no lock service', () => {
    expect(() => provideLocks(null as never)).toThrow('provideLocks was given null; give the instance');
    expect(() => provideLocks(new Orders(), {} as never)).toThrow('given an object as locks');
    expect(() => provideLocks(new Orders(), null as never)).toThrow('given null as locks');
  });
});

test('a handler and an injected service get the locks of the test module too', async () => {
  @Controller()
  class Seats {
    constructor(@InjectLocks() readonly locks: LockService) {}

    @Get()
    @Locked('seats')
    async list(): Promise<boolean> {
      return currentLease()?.held === true;
    }
  }
  const app = await Test.createTestingModule({
    imports: [LockTestingModule.driven()],
    controllers: [Seats],
  }).compile();
  apps.push(app);
  await app.init();
  expect(app.get(Seats).locks).toBe(app.get(LockDriver).locks);
  expect(await app.get(Seats).list()).toBe(true);
});
