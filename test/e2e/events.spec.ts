import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Controller, Get, Injectable, Logger, UseInterceptors } from '@nestjs/common';
import { Cron, ScheduleModule } from '@nestjs/schedule';
import {
  LeaderService,
  Locked,
  LockInterceptor,
  LockService,
  memory,
  type LockEvent,
} from 'nestjs-interlock';
import { faulty, ManualClock } from 'nestjs-interlock/testing';
import { failureOf, guardedApp, type GuardedApp } from '../support/guarded-app.js';

let logged: string[];

beforeEach(() => {
  logged = [];
  for (const level of ['log', 'warn', 'error', 'debug'] as const) {
    jest.spyOn(Logger.prototype, level).mockImplementation((text: unknown) => {
      logged.push(`${level}: ${String(text)}`);
    });
  }
});

afterEach(() => {
  jest.restoreAllMocks();
});

const skips = ({ events }: GuardedApp): LockEvent[] => events.filter(({ type }) => type === 'skipped');

@Injectable()
class Seats {
  @Locked('seat:<0>', { wait: 0, onBusy: 'skip' })
  async skipping(_id: string): Promise<void> {}

  @Locked('seat:<0>', { wait: 0, onBusy: () => 'taken' })
  async answering(_id: string): Promise<string> {
    return 'sold';
  }

  @Cron('0 0 1 1 *')
  @Locked('seat:1', { onBusy: 'throw' })
  async throwing(): Promise<void> {}
}

@Controller('seats')
class SeatsController {
  @Get(':id')
  @UseInterceptors(LockInterceptor.on('seat:<params.id>', { wait: 0, onBusy: 'skip' }))
  show(): string {
    return 'shown';
  }
}

describe('a call that is skipped', () => {
  it('is among the events with its key and its site, and in the debug log, once', async () => {
    const started = await guardedApp({ providers: [Seats], controllers: [SeatsController] });
    const lease = await started.other.acquire('seat:1');
    logged = [];
    await started.app.get(Seats).skipping('1');
    await started.app.listen(0, '127.0.0.1');
    await (await fetch(`${await started.app.getUrl()}/seats/1`)).text();
    const why = 'it is held by other';
    expect(skips(started)).toEqual([
      { type: 'skipped', key: 'seat:1', site: 'Seats.skipping', why },
      { type: 'skipped', key: 'seat:1', site: 'SeatsController.show', why },
    ]);
    expect(logged.filter((line) => line.includes('skipped'))).toEqual([
      'debug: Seats.skipping was skipped ("seat:1"): it is held by other.',
      'debug: SeatsController.show was skipped ("seat:1"): it is held by other.',
    ]);
    await lease.release();
  });

  it('is not one whose busy key is answered or thrown, not even of a schedule', async () => {
    const started = await guardedApp({ imports: [ScheduleModule.forRoot()], providers: [Seats] });
    const lease = await started.other.acquire('seat:1');
    const seats = started.app.get(Seats);
    expect(await seats.answering('1')).toBe('taken');
    expect(await failureOf(seats.throwing())).toMatchObject({ name: 'LockTimeoutError' });
    expect(skips(started)).toEqual([]);
    await lease.release();
  });
});

describe('the log of a lock service', () => {
  it('says once that something may be left behind, and again when that happens again', async () => {
    const clock = new ManualClock();
    const backend = faulty(memory({ clock }));
    const locks = new LockService(backend, { clock });
    await locks.onModuleInit();
    for (let time = 1; time <= 2; time++) {
      backend.plan = ({ method }) =>
        method === 'claim' ? 'after' : method === 'abandon' ? 'before' : undefined;
      const failure = failureOf(locks.acquire('k', { wait: 0, ttl: '5s' }));
      await clock.advance(4_000);
      expect(await failure).toMatchObject({ name: 'LockUnavailableError' });
      expect(logged).toHaveLength(time);
      expect(logged.at(-1)).toMatch(/^warn: Something of "k" may be left on the lock server \(.+\); it is /);
      backend.plan = [];
      await clock.advance(10_000);
    }
    await locks.stop();
    expect(logged).toHaveLength(2);
  });

  it('says the same trouble of the backend once in half a minute', async () => {
    const clock = new ManualClock();
    const backend = memory({ clock });
    let report: (error: Error) => void = () => undefined;
    const start = backend.start.bind(backend);
    backend.start = (context) => {
      report = (error) => context.report(error);
      return start(context);
    };
    const locks = new LockService(backend, { clock });
    await locks.onModuleInit();
    for (let time = 0; time < 100; time++) {
      report(new Error('the line is dead'));
      await clock.advance(100);
    }
    report(new Error('the door is shut'));
    await clock.advance(30_000);
    report(new Error('the door is shut'));
    await locks.stop();
    expect(logged).toEqual(['warn: the line is dead', 'warn: the door is shut', 'warn: the door is shut']);
  });

  it('warns of a renewal that was late, and says what to do; once in half a minute', async () => {
    const clock = new ManualClock();
    const locks = new LockService(memory({ clock }), { clock });
    await locks.onModuleInit();
    const lease = await locks.acquire('k', { ttl: '3s' });
    for (let time = 0; time < 3; time++) {
      clock.skip(1_800);
      await clock.advance(900);
    }
    await lease.release();
    await locks.stop();
    expect(logged).toEqual([
      expect.stringMatching(/^warn: The event loop was blocked for \d+ ms, .*"k".*worker thread/),
    ]);
  });

  it('warns of a lock that is held for many times its ttl, but not of a leadership', async () => {
    const clock = new ManualClock();
    const locks = new LockService(memory({ clock }), { clock });
    await locks.onModuleInit();
    const lease = await locks.acquire('k', { ttl: '3s' });
    const leadership = await locks.contest('leader:x', { ttl: '3s' });
    await clock.advance(180_000);
    await lease.release();
    await leadership.release();
    await locks.stop();
    expect(logged).toEqual([expect.stringMatching(/^warn: The lock "k" .* has been held for \d+ ms/)]);
  });

  it('warns of a crowd in front of a lock', async () => {
    const clock = new ManualClock();
    const locks = new LockService(memory({ clock }), { clock });
    await locks.onModuleInit();
    const lease = await locks.acquire('k');
    const waits = Array.from({ length: 1_100 }, () => failureOf(locks.acquire('k', { wait: 100 })));
    await clock.advance(1_000);
    await Promise.all(waits);
    await lease.release();
    await locks.stop();
    expect(logged).toEqual([expect.stringMatching(/^warn: 1001 callers of this process wait for .*"k"/)]);
  });

  it('warns of locks that no other replica sees, in production alone', async () => {
    const before = process.env['NODE_ENV'];
    try {
      for (const environment of ['development', 'production']) {
        process.env['NODE_ENV'] = environment;
        const locks = new LockService(memory());
        await locks.onModuleInit();
        await locks.stop();
      }
    } finally {
      process.env['NODE_ENV'] = before;
    }
    expect(logged).toEqual([expect.stringMatching(/^warn: The locks are kept inside this process.*redis/)]);
  });

  it('warns of a listener that throws, and the listener goes on', async () => {
    const locks = new LockService(memory());
    await locks.onModuleInit();
    let heard = 0;
    locks.events$.subscribe(() => {
      heard++;
      throw new Error('out of paper');
    });
    await locks.using('k', () => undefined);
    await locks.stop();
    expect(heard).toBe(2);
    expect(logged).toEqual(['warn: A listener of events$ threw, and goes on listening: out of paper']);
  });

  it('warns of a server that is down, and says when it is up again', async () => {
    const backend = memory();
    let error: string | undefined;
    backend.nodes = async () => [
      {
        node: 'a:1',
        role: 'primary',
        state: error === undefined ? 'up' : 'down',
        ...(error !== undefined && { error }),
      },
    ];
    const locks = new LockService(backend);
    await locks.onModuleInit();
    for (error of [undefined, 'connection refused', 'connection refused', undefined]) {
      await locks.health({ maxAge: 0 });
    }
    await locks.stop();
    expect(logged).toEqual([
      'warn: The lock server a:1 (primary) is down: connection refused',
      'log: The lock server a:1 (primary) is up again.',
    ]);
  });

  it('says nothing of an acquisition, a wait, a refusal or a release', async () => {
    const locks = new LockService(memory());
    await locks.onModuleInit();
    await locks.using('k', { reentrant: false }, () => locks.tryAcquire('k', { reentrant: false }));
    await locks.stop();
    expect(logged).toEqual([]);
  });
});

describe('an election', () => {
  it('is among the events, and its end, each with the term', async () => {
    const started = await guardedApp({});
    const leaders = started.app.get(LeaderService);
    const { term } = await leaders.waitForLeadership({ group: 'reports' });
    await leaders.resign('reports');
    const told = started.events.filter(({ type }) => type === 'elected' || type === 'deposed');
    expect(told).toEqual([
      { type: 'elected', group: 'reports', term },
      { type: 'deposed', group: 'reports', term },
    ]);
    expect(logged.filter((line) => line.includes('"reports"'))).toEqual([
      `log: This replica leads "reports" from here on (term ${term}).`,
      `log: This replica does not lead "reports" any more (term ${term}).`,
    ]);
    const acquired = started.events.find(({ type }) => type === 'acquired');
    expect(acquired).toMatchObject({ key: 'leader:reports', pattern: 'leader:reports' });
  });
});

describe('the pattern of a guarded method', () => {
  it('is its template, its templates, its own name for a function, or what its options say', async () => {
    class Orders {
      @Locked('order:<0>')
      async one(_id: string): Promise<void> {}

      @Locked(['a:<0>', 'b:<0>'])
      async two(_id: string): Promise<void> {}

      @Locked((id: string) => `order:${id}`)
      async three(_id: string): Promise<void> {}

      @Locked((id: string) => `order:${id}`, { pattern: 'order:*' })
      async four(_id: string): Promise<void> {}
    }
    const started = await guardedApp({ providers: [Orders] });
    const orders = started.app.get(Orders);
    for (const method of ['one', 'two', 'three', 'four'] as const) await orders[method]('7');
    expect(
      started.events.flatMap((event) => (event.type === 'acquired' ? [[event.key, event.pattern]] : [])),
    ).toEqual([
      ['order:7', 'order:<0>'],
      ['a:7', 'a:<0>, b:<0>'],
      ['b:7', 'a:<0>, b:<0>'],
      ['order:7', 'Orders.three'],
      ['order:7', 'order:*'],
    ]);
  });
});
