import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, Module } from '@nestjs/common';
import { Cron, Interval, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { currentLease, Locked, OncePerTick } from 'nestjs-interlock';
import { Gate } from '../support/gate.js';
import { failureOf, turns } from '../support/guarded-app.js';
import { LeaderApps, type LeaderApp } from '../support/leader-app.js';
import { WallClock } from '../support/wall-clock.js';

const EVERY_MINUTE = '0 * * * * *';
const NOON_MS = Date.parse('2026-06-01T12:00:00Z');

let runs: string[] = [];
let gate = new Gate();

@Injectable()
class Jobs {
  @OncePerTick()
  @Cron(EVERY_MINUTE, { name: 'above' })
  async above(): Promise<void> {
    runs.push('above');
  }

  @Cron(EVERY_MINUTE, { name: 'below' })
  @OncePerTick({ keep: '2m' })
  async below(): Promise<void> {
    runs.push(`below ${currentLease()?.key}`);
  }

  @Cron(EVERY_MINUTE, { name: 'retried' })
  @OncePerTick({ onCrash: 'retry', ttl: '3s', job: 'report' })
  async retried(): Promise<void> {
    runs.push('retried');
    await gate.opened;
  }

  @Cron(EVERY_MINUTE, { name: 'long' })
  @OncePerTick({ keep: '1m', atMost: '5m' })
  async long(): Promise<void> {
    const lease = currentLease();
    runs.push('long');
    await new Promise<void>((resolve) => {
      lease?.signal.addEventListener('abort', () => resolve());
    });
    runs.push(`stopped, and ${lease?.held ? 'still' : 'not'} held`);
  }

  @Cron(EVERY_MINUTE, { name: 'failing' })
  @OncePerTick()
  failing(): never {
    runs.push('failing');
    throw new Error('of the job');
  }

  @Cron(EVERY_MINUTE, { name: 'alone' })
  @OncePerTick()
  @Locked('alone')
  async alone(): Promise<void> {
    runs.push('alone');
    await gate.opened;
  }
}

const apps = new LeaderApps();
const wall: Disposable[] = [];

afterEach(async () => {
  await apps.close();
  for (const clock of wall.splice(0)) clock[Symbol.dispose]();
});

function noon(): WallClock {
  const clock = new WallClock(NOON_MS);
  wall.push(clock);
  runs = [];
  gate = new Gate();
  return clock;
}

const replica = (): Promise<LeaderApp> =>
  apps.start({ imports: [ScheduleModule.forRoot()], providers: [Jobs] });

async function tick({ app }: LeaderApp, name: string): Promise<void> {
  void app.get(SchedulerRegistry).getCronJob(name).fireOnTick();
  await turns(10);
}

const whys = ({ events }: LeaderApp): unknown[] =>
  events.flatMap((event) => (event.type === 'skipped' ? [event.why] : []));

describe('a job that runs once per tick', () => {
  it('[54] runs on one replica for each tick, with clocks that are 10 s apart, above and below @Cron', async () => {
    const clock = noon();
    const ahead = await replica();
    const behind = await replica();
    for (let minute = 0; minute < 5; minute++) {
      // each fires when its own clock shows the full minute, the second one 10 s after the first
      for (const one of [ahead, behind]) {
        clock.nowMs = NOON_MS + minute * 60_000 + 3;
        await tick(one, 'above');
        await tick(one, 'below');
        await apps.clock.advance(10_000);
      }
      await apps.clock.advance(40_000);
    }
    expect(runs.filter((run) => run === 'above')).toHaveLength(5);
    expect(runs.filter((run) => run.startsWith('below'))).toEqual(
      [0, 1, 2, 3, 4].map((minute) => `below tick:Jobs.below:2026-06-01T12:0${minute}:00Z`),
    );
    expect(whys(behind)).toEqual(Array(10).fill('it has been run by replica-1'));
  });

  it('[54] is left out when its timer is later than half of what is remembered', async () => {
    const clock = noon();
    const one = await replica();
    clock.nowMs = NOON_MS + 59_000;
    await tick(one, 'below');
    expect(runs).toHaveLength(1);
    // a machine that was asleep, and fires at once
    clock.nowMs = NOON_MS + 3 * 60_000 - 1;
    const registry = one.app.get(SchedulerRegistry);
    registry
      .getCronJob('below')
      .setTime(
        new (registry.getCronJob('below').cronTime.constructor as never as new (source: string) => never)(
          '0 0 * * * *',
        ),
      );
    await tick(one, 'below');
    expect([runs.length, whys(one)]).toEqual([1, ['no tick was due within the last 60000 ms']]);
  });

  it('[54] is left out when it is granted too late, and its claim is given back', async () => {
    const clock = noon();
    const one = await replica();
    clock.nowMs = NOON_MS + 59_000;
    one.backend.plan = ({ method }) => {
      if (method === 'claim') clock.nowMs = NOON_MS + 64_000;
      return undefined;
    };
    // the tick of the next minute is another one
    await tick(one, 'below');
    expect([runs, whys(one)]).toEqual([[], ['it is 64000 ms late']]);
    expect(await one.locks.inspect('tick:Jobs.below:2026-06-01T12:00:00Z')).toBeNull();
  });

  it('[54] is skipped for a tick whose replica died, and runs at the next', async () => {
    const clock = noon();
    const dying = await replica();
    const other = await replica();
    // claimed, and never heard of again
    await dying.locks.contest('tick:Jobs.above:2026-06-01T12:00:00Z', { ttl: '10m', wait: 0 });
    dying.backend.plan = () => 'hang';
    await tick(other, 'above');
    expect(runs).toEqual([]);
    clock.nowMs += 60_000;
    await tick(other, 'above');
    expect(runs).toEqual(['above']);
    dying.backend.plan = [];
  });

  it('[54] is taken over with onCrash: retry, and only then', async () => {
    const clock = noon();
    const first = await replica();
    const second = await replica();
    await tick(first, 'retried');
    await tick(second, 'retried');
    await apps.clock.advance(20_000);
    // the first one works on, so nobody else does
    expect([runs, whys(second)]).toEqual([['retried'], ['it is being run by replica-1']]);
    gate.open();
    await apps.clock.advance(100_000);
    await tick(second, 'retried');
    expect([runs, whys(second).at(-1)]).toEqual([['retried'], 'it has been run by replica-1']);

    gate = new Gate();
    clock.nowMs += 60_000;
    await tick(first, 'retried');
    await tick(second, 'retried');
    expect(runs).toHaveLength(2);
    first.backend.plan = () => 'hang';
    await apps.clock.advance(4_000);
    expect(runs).toHaveLength(3);
    gate.open();
    await turns(10);
    first.backend.plan = [];
    await apps.clock.advance(10_000);
    expect(runs).toHaveLength(3);
  });

  it('[54] is told to stop after atMost, and kept alive until then', async () => {
    noon();
    const one = await replica();
    await tick(one, 'long');
    await apps.clock.advance(299_000);
    expect(runs).toEqual(['long']);
    await apps.clock.advance(1_000);
    expect(runs).toEqual(['long', 'stopped, and still held']);
  });

  it('[54] is claimed when the server is back after a bad second', async () => {
    noon();
    const one = await replica();
    one.backend.plan = () => 'before';
    await tick(one, 'above');
    expect(runs).toEqual([]);
    await apps.clock.advance(700);
    one.backend.plan = [];
    await apps.clock.advance(2_000);
    expect(runs).toEqual(['above']);
    // also when the claim was carried out, its answer lost, and what it left behind is in the way for a while
    const clock = wall.at(-1) as WallClock;
    clock.nowMs += 60_000;
    let claims = 0;
    one.backend.plan = ({ method }) => {
      if (method === 'claim' && ++claims === 1) return 'after';
      return method === 'abandon' && claims < 3 ? 'before' : undefined;
    };
    await tick(one, 'above');
    await apps.clock.advance(9_000);
    expect(runs).toEqual(['above', 'above']);
    expect(claims).toBeGreaterThan(2);
  });

  it('has had its run when its body throws', async () => {
    noon();
    const one = await replica();
    expect(await failureOf(one.app.get(Jobs).failing() as unknown as Promise<unknown>)).toEqual(
      new Error('of the job'),
    );
    await tick(one, 'failing');
    expect(runs).toEqual(['failing']);
  });

  it('overlaps with no other tick when it is locked as well', async () => {
    const clock = noon();
    const one = await replica();
    await tick(one, 'alone');
    clock.nowMs += 60_000;
    await tick(one, 'alone');
    expect(runs).toEqual(['alone']);
    gate.open();
    await turns(10);
    clock.nowMs += 60_000;
    await tick(one, 'alone');
    expect(runs).toEqual(['alone', 'alone']);
  });

  it('[55] does not begin while the application is closing, and the end waits for it', async () => {
    noon();
    const one = await replica();
    await tick(one, 'alone');
    let closed = false;
    const closing = one.app.close().then(() => (closed = true));
    await turns(10);
    expect(closed).toBe(false);
    await one.app.get(Jobs).above();
    expect([runs, whys(one)]).toEqual([['alone'], ['the application is closing']]);
    gate.open();
    await closing;
  });
});

describe('a class that is provided twice', () => {
  it('[55] runs each tick once, by a second instance or an alias alike', async () => {
    const clock = noon();
    @Injectable()
    class Unnamed {
      @Cron(EVERY_MINUTE)
      @Locked('fast')
      async fast(): Promise<void> {
        runs.push('fast');
      }

      @Interval(3_600_000)
      @Locked('regular')
      async regular(): Promise<void> {
        runs.push('regular');
      }
    }
    @Module({ providers: [Unnamed] })
    class Second {}
    const {
      app,
      clock: leases,
      events,
    } = await apps.start({
      imports: [ScheduleModule.forRoot(), Second],
      providers: [Unnamed, { provide: 'alias', useExisting: Unnamed }],
    });
    const fire = async (): Promise<void> => {
      for (const job of app.get(SchedulerRegistry).getCronJobs().values()) {
        void job.fireOnTick();
        await turns(10);
      }
    };
    expect(app.get(SchedulerRegistry).getCronJobs().size).toBe(3);
    await fire();
    expect(runs).toEqual(['fast']);
    expect(events.filter(({ type }) => type === 'skipped')).toMatchObject([
      { site: 'Unnamed.fast', why: 'its class is provided twice, and the other one runs it' },
      { site: 'Unnamed.fast' },
    ]);
    clock.nowMs += 60_000;
    await fire();
    expect(runs).toEqual(['fast', 'fast']);
    for (let hour = 0; hour < 3; hour++) {
      for (let copy = 0; copy < 3; copy++) await app.get(Unnamed).regular();
      await leases.advance(3_600_000);
    }
    expect(runs.slice(2)).toEqual(['regular', 'regular', 'regular']);
  });
});

describe('at the start', () => {
  const start = async (...providers: (new () => object)[]): Promise<string> =>
    String(
      await apps.start({ imports: [ScheduleModule.forRoot()], providers }).catch((error: unknown) => error),
    );

  it('refuses a job without ticks, and one whose ticks another would take', async () => {
    class Plain {
      @OncePerTick()
      run(): void {}
    }
    class Regular {
      @Interval(1_000)
      @OncePerTick()
      run(): void {}
    }
    class Twin {
      @Cron(EVERY_MINUTE)
      @OncePerTick({ job: 'Jobs.above' })
      run(): void {}
    }
    expect(await start(Plain)).toContain(
      '@OncePerTick is on Plain.run, which has no schedule, and only cron jobs have ticks that all replicas agree on; put @Cron on it, or take @Locked or @LeaderOnly.',
    );
    expect(await start(Regular)).toContain('which is run by a interval');
    expect(await start(Jobs, Twin)).toContain(
      'Jobs.above and Twin.run run once per tick as the same job "Jobs.above", so each would take the other\'s ticks',
    );
  });

  it.each([
    [{ keep: '10s' }, /keep of .*run is "10s"; it must be between/],
    [{ onCrash: 'never' }, /onCrash of .*run is "never"; give 'skip' or 'retry'/],
    [{ ttl: '10s' }, /ttl of .*run has no meaning with onCrash: 'skip'/],
    [{ onCrash: 'retry', ttl: '1m', keep: '2m' }, /longer than a quarter of keep/],
    [{ job: '' }, /job of .*run is ""/],
    [{ when: 5 }, /option "when"/],
  ])('refuses the options %j at the definition of the class', (options, message) => {
    expect(() => OncePerTick(options as never)({}, 'run', { value: () => undefined })).toThrow(message);
  });
});
