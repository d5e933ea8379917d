import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Cron, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { Locked, type BusyCall } from 'nestjs-interlock';
import { guardedApp, Room, turns, type GuardedApp, type GuardedAppOptions } from '../support/guarded-app.js';

const NEVER_BY_ITSELF = '0 0 1 1 *';

let room = new Room();
let busy: BusyCall[] = [];
let failures: unknown[] = [];

/** A decorator of somebody else, that carries no metadata over. */
function Foreign(): MethodDecorator {
  return (_target, _property, descriptor: PropertyDescriptor) => {
    const inner = descriptor.value as (...args: unknown[]) => unknown;
    descriptor.value = function foreign(this: unknown, ...args: unknown[]): unknown {
      return Reflect.apply(inner, this, args);
    };
  };
}

@Injectable()
class Jobs {
  @Locked('job')
  @Cron(NEVER_BY_ITSELF, { name: 'below' })
  below(): Promise<string> {
    return room.visit('below');
  }

  @Cron(NEVER_BY_ITSELF, { name: 'above' })
  @Locked('job')
  above(): Promise<string> {
    return room.visit('above');
  }

  @Cron(NEVER_BY_ITSELF, { name: 'waiting' })
  @Locked('job', { wait: '1s' })
  waiting(): Promise<string> {
    return room.visit('waiting');
  }

  @Cron(NEVER_BY_ITSELF, { name: 'answering' })
  @Locked('job', { onBusy: (call) => busy.push(call) })
  answering(): Promise<string> {
    return room.visit('answering');
  }

  @Locked('job', { onBusy: 'throw' })
  @Cron(NEVER_BY_ITSELF, { name: 'throwing' })
  throwing(): Promise<string> {
    return room.visit('throwing');
  }

  @Cron(NEVER_BY_ITSELF, { name: 'twice' })
  @Locked('outer')
  @Locked('job')
  twice(): Promise<string> {
    return room.visit('twice');
  }

  @Locked('outer')
  @Cron(NEVER_BY_ITSELF, { name: 'between' })
  @Locked('job')
  between(): Promise<string> {
    return room.visit('between');
  }

  @Locked('outer')
  @Locked('job')
  @Cron(NEVER_BY_ITSELF, { name: 'beneath' })
  beneath(): Promise<string> {
    return room.visit('beneath');
  }

  @Cron(NEVER_BY_ITSELF, { name: 'foreign' })
  @Foreign()
  @Locked('outer')
  @Foreign()
  @Locked('job')
  foreign(): Promise<string> {
    return room.visit('foreign');
  }

  @Locked('job')
  unscheduled(): Promise<string> {
    return room.visit('unscheduled');
  }
}

async function jobs(options: GuardedAppOptions = {}): Promise<GuardedApp & { tick(name: string): void }> {
  room = new Room();
  busy = [];
  failures = [];
  const started = await guardedApp({ imports: [ScheduleModule.forRoot()], providers: [Jobs] }, options);
  const registry = started.app.get(SchedulerRegistry);
  return {
    ...started,
    /** What the schedule does at the time of the job. */
    tick: (name) => {
      Promise.resolve(registry.getCronJob(name).fireOnTick()).catch((error: unknown) => failures.push(error));
    },
  };
}

const skips = ({ events }: GuardedApp): unknown[] => events.filter(({ type }) => type === 'skipped');

describe('a locked scheduled method', () => {
  it('is skipped without waiting when the key is busy, above and below @Cron', async () => {
    const started = await jobs();
    const { app, tick, other, clock, locks } = started;
    const lease = await other.acquire('job');
    for (const name of ['above', 'below']) {
      tick(name);
      await turns();
      expect([name, locks.gauges.waiting]).toEqual([name, 0]);
    }
    // the schedule logs what a job throws; whoever calls it sees that it throws nothing
    expect(await Promise.all([app.get(Jobs).above(), app.get(Jobs).below()])).toEqual([undefined, undefined]);
    await lease.release();
    await clock.advance(10_000);
    expect(room.visits).toEqual([]);
    const why = 'it is held by other';
    expect(skips(started)).toEqual([
      { type: 'skipped', key: 'job', site: 'Jobs.above', why },
      { type: 'skipped', key: 'job', site: 'Jobs.below', why },
      { type: 'skipped', key: 'job', site: 'Jobs.above', why },
      { type: 'skipped', key: 'job', site: 'Jobs.below', why },
    ]);
    tick('above');
    await turns(10);
    expect(room.visits).toEqual(['above']);
  });

  it('waits for as long as it says, and is skipped then', async () => {
    const started = await jobs();
    const { tick, other, clock, locks } = started;
    const first = await other.acquire('job');
    tick('waiting');
    await turns();
    expect(locks.gauges.waiting).toBe(1);
    await first.release();
    await turns(10);
    expect([room.visits, skips(started)]).toEqual([['waiting'], []]);
    const second = await other.acquire('job');
    tick('waiting');
    await clock.advance(999);
    expect(locks.gauges.waiting).toBe(1);
    await clock.advance(1);
    expect([room.visits, skips(started).length]).toEqual([['waiting'], 1]);
    await second.release();
  });

  it('does what its onBusy says, and still without waiting', async () => {
    const started = await jobs();
    const { tick, other, app } = started;
    const lease = await other.acquire('job');
    tick('answering');
    await turns();
    expect(busy).toMatchObject([{ error: { name: 'LockTimeoutError', key: 'job' } }]);
    await expect(app.get(Jobs).throwing()).rejects.toMatchObject({ name: 'LockTimeoutError', key: 'job' });
    tick('throwing');
    await turns();
    // refused, all three, but not skipped: each was answered
    expect([room.visits, skips(started)]).toEqual([[], []]);
    expect(started.events.filter(({ type }) => type === 'busy')).toHaveLength(3);
    await lease.release();
  });

  it('has the defaults of a schedule for each of its locks', async () => {
    const started = await jobs();
    const { tick, other, locks } = started;
    const names = ['twice', 'between', 'beneath', 'foreign'];
    for (const name of names) {
      for (const key of ['outer', 'job']) {
        const lease = await other.acquire(key);
        tick(name);
        await turns(10);
        expect([name, key, locks.gauges]).toEqual([name, key, { held: 0, waiting: 0, owed: 0 }]);
        await lease.release();
      }
      tick(name);
      await turns(10);
    }
    expect([room.visits, failures, skips(started).length]).toEqual([names, [], 8]);
  });

  it('leaves the defaults of other methods alone', async () => {
    const { app, other, locks } = await jobs();
    const lease = await other.acquire('job');
    const result = app.get(Jobs).unscheduled();
    await turns();
    expect(locks.gauges.waiting).toBe(1);
    await lease.release();
    expect(await result).toBe('unscheduled');
  });

  it('[54] runs on one of two replicas that tick at the same time', async () => {
    const one = await jobs();
    const { server } = one;
    const second = await guardedApp(
      { imports: [ScheduleModule.forRoot()], providers: [Jobs] },
      { server, clock: one.clock },
    );
    one.tick('above');
    void second.app.get(SchedulerRegistry).getCronJob('above').fireOnTick();
    await turns(10);
    expect(room.visits).toEqual(['above']);
    expect([...skips(one), ...skips(second)]).toHaveLength(1);
  });
});
