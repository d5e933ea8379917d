import { describe, expect, it } from '@jest/globals';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  LockConfigurationError,
  Locked,
  LockModule,
  lockServiceToken,
  LockUnavailableError,
  memory,
} from 'nestjs-interlock';
import { faulty, ManualClock } from 'nestjs-interlock/testing';
import { firstValueFrom, Observable, of } from 'rxjs';
import { failureOf, guardedApp, turns } from '../support/guarded-app.js';

const runs: string[] = [];
/** What a body saw of its lock. */
const ran = (what: string): string => {
  runs.push(what);
  return what;
};

@Injectable()
class Seats {
  @Locked('seat:<id>', { wait: '1s' })
  async sell(id: string): Promise<string> {
    return ran(`sell ${id}`);
  }

  @Locked('seats', { onBusy: 'skip' })
  list(): Observable<string> {
    return of(ran('list'));
  }

  @Locked('seats', { locks: 'billing' })
  async bill(): Promise<string> {
    return ran('bill');
  }
}

const WHY =
  'either no module imports LockModule.forRoot(), or the instance was not made by Nest (by "new" or in a factory), or its constructor calls the method. Import the module and let Nest make the instance; in unit tests use provideLocks() of nestjs-interlock/testing. Nothing has run.';

/** All three ways of a method to refuse; nothing may have run. */
async function refusals(seats: Seats): Promise<unknown[]> {
  runs.length = 0;
  const errors = [
    await failureOf(seats.sell('1')),
    await failureOf(firstValueFrom(seats.list())),
    await failureOf(seats.bill()),
  ];
  await turns();
  expect(runs).toEqual([]);
  return errors;
}

describe('a locked method', () => {
  it('[56] never runs the body for new Service(), and says why', async () => {
    const [sell, list, bill] = await refusals(new Seats());
    expect(sell).toBeInstanceOf(LockConfigurationError);
    expect(list).toBeInstanceOf(LockConfigurationError);
    expect((sell as Error).message).toBe(
      `Seats.sell is guarded by a lock, but no lock service has reached this instance: ${WHY}`,
    );
    expect((list as Error).message).toContain('Seats.list is guarded by a lock');
    expect((bill as Error).message).toContain("LockModule.forRoot({ name: 'billing' })");
  });

  it('[56] never runs the body without a module', async () => {
    const module = await Test.createTestingModule({ providers: [Seats] }).compile();
    const app = module.createNestApplication({ logger: false });
    await app.init();
    const errors = await refusals(app.get(Seats));
    expect(errors).toEqual(Array(3).fill(expect.any(LockConfigurationError)));
    expect((errors[0] as Error).message).toContain(WHY);
    await app.close();
  });

  it('[56] never runs the body with a module of another name', async () => {
    const { app } = await guardedApp({ providers: [Seats] }, { name: 'billing' });
    const seats = app.get(Seats);
    expect(await failureOf(seats.sell('1'))).toBeInstanceOf(LockConfigurationError);
    expect(runs).toEqual([]);
    expect(await seats.bill()).toBe('bill');
  });

  it('[56] never runs the body of an instance that a factory made', async () => {
    const { app } = await guardedApp({ providers: [{ provide: Seats, useFactory: () => new Seats() }] });
    const [sell] = await refusals(app.get(Seats));
    expect((sell as Error).message).toContain('in a factory');
  });

  it('[56] never runs the body without its instance', async () => {
    const { app } = await guardedApp({ providers: [Seats] });
    const { sell } = app.get(Seats);
    runs.length = 0;
    expect(await failureOf(Reflect.apply(sell, undefined, ['1']))).toEqual(
      new LockConfigurationError(
        'Seats.sell is guarded by a lock, but was called without its instance as "this", so there is no lock service. Call it as a method, or bind it. Nothing has run.',
      ),
    );
    expect(await failureOf(Reflect.apply(sell, {}, ['1']))).toBeInstanceOf(LockConfigurationError);
    expect(runs).toEqual([]);
    expect(await sell.call(app.get(Seats), '1')).toBe('sell 1');
  });

  it('[56] never runs the body with something that is no lock service', async () => {
    const module = await Test.createTestingModule({
      providers: [Seats, { provide: lockServiceToken(), useValue: { using: () => 'unlocked' } }],
    }).compile();
    const [sell] = await refusals(module.get(Seats));
    expect((sell as Error).message).toContain(
      'Seats.sell is guarded by a lock, but what is provided as Symbol(nestjs-interlock.locks) is no LockService.',
    );
    await module.close();
  });

  it('[56] never runs the body that its own constructor calls', async () => {
    let early: Promise<unknown> | undefined;
    @Injectable()
    class Eager extends Seats {
      constructor() {
        super();
        early = failureOf(this.sell('1'));
      }
    }
    runs.length = 0;
    const { app } = await guardedApp({ providers: [Eager] });
    expect(await early).toEqual(
      expect.objectContaining({ message: expect.stringContaining('its constructor calls the method') }),
    );
    expect(runs).toEqual([]);
    expect(await app.get(Eager).sell('2')).toBe('sell 2');
  });

  it('[56] waits for the backend when it is called before init: by a constructor, or an onModuleInit', async () => {
    const order: string[] = [];
    const results: Promise<unknown>[] = [];

    @Injectable()
    class Early implements OnModuleInit {
      constructor(private readonly seats: Seats) {
        results.push(this.sell('constructor'));
      }

      onModuleInit(): void {
        results.push(this.sell('onModuleInit'));
      }

      private async sell(id: string): Promise<string> {
        const result = await this.seats.sell(id);
        order.push(result);
        return result;
      }
    }
    let opened = (): void => undefined;
    const door = new Promise<void>((resolve) => {
      opened = resolve;
    });
    const backend = memory();
    const start = backend.start.bind(backend);
    const slow = faulty(
      Object.assign(backend, {
        start: async (context: Parameters<typeof start>[0]) => {
          order.push('starting');
          await door;
          await start(context);
          order.push('started');
        },
      }),
    );
    const clock = new ManualClock(1_000);
    const module = await Test.createTestingModule({
      imports: [LockModule.forRoot({ backend: slow, clock })],
      providers: [Early, Seats],
    }).compile();
    runs.length = 0;
    const app = module.createNestApplication({ logger: false });
    const init = app.init();
    await turns();
    expect([runs, order]).toEqual([[], ['starting']]);
    opened();
    await init;
    expect(await Promise.all(results)).toEqual(['sell constructor', 'sell onModuleInit']);
    expect(order).toEqual(['starting', 'started', 'sell constructor', 'sell onModuleInit']);
    const calls = slow.calls.map(({ method }) => method);
    expect(calls[0]).toBe('start');
    expect(calls.slice(1).sort()).toEqual(['claim', 'claim', 'release', 'release']);
    await app.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('[56] never runs the body when the backend refuses to start, and neither does the application', async () => {
    const results: Promise<unknown>[] = [];
    @Injectable()
    class Early {
      constructor(seats: Seats) {
        results.push(failureOf(seats.sell('1')));
      }
    }
    const clock = new ManualClock(1_000);
    const backend = faulty(memory(), { method: 'start', call: 1, fault: 'before', onward: true });
    const module = await Test.createTestingModule({
      imports: [LockModule.forRoot({ backend, clock })],
      providers: [Early, Seats],
    }).compile();
    runs.length = 0;
    const app = module.createNestApplication({ logger: false });
    const failure = await failureOf(app.init());
    expect(failure).toBeInstanceOf(LockUnavailableError);
    expect((failure as Error).message).toMatch(/^The lock backend "memory" did not start: Planned/);
    expect(await Promise.all(results)).toEqual([expect.any(LockUnavailableError)]);
    expect(await failureOf(module.get(Seats).sell('2'))).toBeInstanceOf(LockUnavailableError);
    expect(await failureOf(firstValueFrom(module.get(Seats).list()))).toBeInstanceOf(LockUnavailableError);
    expect(runs).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('[56] never runs the body when the claim fails, whichever way', async () => {
    const { app, backend, clock, events } = await guardedApp({ providers: [Seats] });
    const seats = app.get(Seats);
    runs.length = 0;
    for (const fault of ['before', 'after', 'hang', 'hang-after', 'rubbish', 'throw'] as const) {
      backend.plan = ({ method }) => (method === 'claim' ? fault : undefined);
      const failure = failureOf(seats.sell(fault));
      const skipped = failureOf(firstValueFrom(seats.list()));
      await clock.advance(5_000);
      expect([fault, await failure]).toEqual([fault, expect.any(LockUnavailableError)]);
      // out of reach is not busy: onBusy has no say
      expect([fault, await skipped]).toEqual([fault, expect.any(LockUnavailableError)]);
    }
    expect(runs).toEqual([]);
    backend.plan = [];
    await clock.advance(60_000);
    expect(events.map(({ type }) => type)).toContain('unavailable');
    expect(await seats.sell('1')).toBe('sell 1');
  });

  it('[56] never runs the body after the application has closed', async () => {
    const { app } = await guardedApp({ providers: [Seats] });
    const seats = app.get(Seats);
    await app.close();
    runs.length = 0;
    expect(await failureOf(seats.sell('1'))).toBeInstanceOf(LockUnavailableError);
    expect(await failureOf(firstValueFrom(seats.list()))).toBeInstanceOf(LockUnavailableError);
    expect(runs).toEqual([]);
  });
});
