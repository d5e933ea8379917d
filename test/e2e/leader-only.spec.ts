import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Injectable, Module, Post, Scope, UseGuards } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { Cron, Interval, ScheduleModule, SchedulerRegistry, Timeout } from '@nestjs/schedule';
import type { INestApplication } from '@nestjs/common';
import { Observable, of, Subject } from 'rxjs';
import {
  currentLease,
  LeaderGuard,
  leaderServiceToken,
  LeaderOnly,
  LeaderService,
  Locked,
  LockExceptionFilter,
  LockInventory,
  LockModule,
  OnDeposed,
  OnElected,
  Sharded,
  ShardService,
  type Leadership,
  type Shard,
} from 'nestjs-interlock';
import { LockTestingModule } from 'nestjs-interlock/testing';
import { Test } from '@nestjs/testing';
import { Gate } from '../support/gate.js';
import { failureOf, turns } from '../support/guarded-app.js';
import { LeaderApps, type LeaderApp } from '../support/leader-app.js';

const NEVER_BY_ITSELF = '0 0 1 1 *';

let runs: string[] = [];
let told: string[] = [];
let gate = new Gate();
let stream = new Subject<number>();

@Injectable()
class Jobs {
  @LeaderOnly()
  @Cron(NEVER_BY_ITSELF, { name: 'below' })
  async below(): Promise<void> {
    runs.push(`below ${currentLease()?.key}`);
  }

  @Cron(NEVER_BY_ITSELF, { name: 'above' })
  @LeaderOnly()
  async above(): Promise<void> {
    runs.push('above');
    await gate.opened;
  }

  @Interval('interval', 3_600_000)
  @LeaderOnly()
  async regular(): Promise<void> {
    runs.push('regular');
  }

  @LeaderOnly()
  @Timeout('timeout', 3_600_000)
  async later(): Promise<void> {
    runs.push('later');
  }

  @LeaderOnly('reports')
  async byHand(who: string): Promise<string> {
    return `done for ${who}`;
  }

  @LeaderOnly('reports', { onFollower: 'throw' })
  async strict(): Promise<string> {
    return 'done';
  }

  @LeaderOnly('reports')
  watch(): Observable<number> {
    return stream;
  }

  @OnElected('reports')
  elected({ group, term, signal }: Leadership): void {
    told.push(`elected ${group} ${term} ${signal.aborted} ${currentLease()?.fence === term}`);
  }

  @OnDeposed('reports')
  async deposed({ group, term, signal }: Leadership): Promise<void> {
    await turns();
    told.push(`deposed ${group} ${term} ${signal.aborted}`);
  }
}

@Controller()
class Pages {
  @Get('page')
  @LeaderOnly('reports')
  page(): string {
    return 'page';
  }

  @LeaderOnly('reports')
  @Get('stream')
  rows(): Observable<string> {
    return of('rows');
  }

  @Post('guarded')
  @UseGuards(LeaderGuard.of('reports'))
  guarded(): string {
    return 'guarded';
  }

  @Get('usual')
  @UseGuards(LeaderGuard)
  usual(): string {
    return 'usual';
  }
}

const apps = new LeaderApps();

beforeEach(() => {
  runs = [];
  told = [];
  gate = new Gate();
  stream = new Subject();
});
afterEach(() => apps.close());

const replica = (address?: string): Promise<LeaderApp> =>
  apps.start(
    {
      imports: [ScheduleModule.forRoot()],
      providers: [Jobs, { provide: APP_FILTER, useClass: LockExceptionFilter }],
      controllers: [Pages],
    },
    { ttl: '3s', ...(address === undefined ? {} : { address }) },
  );

async function tick({ app }: LeaderApp, name: string): Promise<void> {
  void app.get(SchedulerRegistry).getCronJob(name).fireOnTick();
  await turns(10);
}

const skips = ({ events }: LeaderApp): unknown[] =>
  events.flatMap((event) => (event.type === 'skipped' ? [`${event.site}: ${event.why}`] : []));

describe('a method for the leader only', () => {
  it('[51] runs on one replica, above and below its schedule, in the scope of the term', async () => {
    const leader = await replica();
    const follower = await replica();
    for (const one of [leader, follower]) {
      await tick(one, 'below');
      await tick(one, 'above');
      await one.app.get(Jobs).regular();
      await one.app.get(Jobs).later();
    }
    expect(runs).toEqual(['below leader:default', 'above', 'regular', 'later']);
    expect(skips(follower)).toEqual(
      ['below', 'above', 'regular', 'later'].map((name) => `Jobs.${name}: this replica does not lead`),
    );
    gate.open();
  });

  it('is skipped elsewhere, or refused, as it says', async () => {
    const leader = await replica('http://10.0.0.7:3000');
    const follower = await replica();
    expect(await leader.app.get(Jobs).byHand('me')).toBe('done for me');
    expect(await follower.app.get(Jobs).byHand('me')).toBeUndefined();
    expect(await leader.app.get(Jobs).strict()).toBe('done');
    expect(await failureOf(follower.app.get(Jobs).strict())).toMatchObject({
      name: 'NotLeaderError',
      group: 'reports',
      leader: { identity: 'replica-1', address: 'http://10.0.0.7:3000' },
      message:
        'This replica does not lead "reports": replica-1 does, at http://10.0.0.7:3000. Nothing has run; ask the leader, or wait for leadership.',
    });
  });

  it('that returns an Observable belongs to the term until its end', async () => {
    const leader = await replica();
    const follower = await replica();
    const seen: number[] = [];
    leader.app
      .get(Jobs)
      .watch()
      .subscribe((value) => void seen.push(value));
    await turns();
    stream.next(1);
    const resigned = leader.leaders.resign('reports');
    await turns(10);
    expect(follower.leaders.isLeader('reports')).toBe(false);
    stream.next(2);
    stream.complete();
    await resigned;
    await turns(10);
    expect([seen, follower.leaders.isLeader('reports')]).toEqual([[1, 2], true]);
  });

  it('can be made at run time, and is left out while the application is closing', async () => {
    const leader = await replica();
    const wrapped = leader.leaders.wrap((count: number) => count + 1, 'reports');
    expect(await wrapped(1)).toBe(2);
    await tick(leader, 'above');
    let closed = false;
    const closing = leader.app.close().then(() => (closed = true));
    await turns(10);
    expect([closed, leader.leaders.isLeader()]).toEqual([false, true]);
    expect(await wrapped(1)).toBeUndefined();
    gate.open();
    await closing;
  });

  it('[56] never runs without a leader service', async () => {
    await expect(async () => new Jobs().byHand('me')).rejects.toThrow(
      /^Jobs\.byHand is guarded by a lock, but no lock service has reached this instance/,
    );
  });
});

describe('those who are told of elections', () => {
  it('[52] hear of each beginning and each end once, before the lock goes on', async () => {
    const leader = await replica();
    const first = leader.leaders.term('reports');
    expect(told).toEqual([`elected reports ${first} false true`]);
    const next = await replica();
    await leader.leaders.resign('reports');
    await turns(10);
    const second = next.leaders.term('reports');
    expect(told.slice(1)).toEqual([`deposed reports ${first} true`, `elected reports ${second} false true`]);
    await next.app.close();
    expect(told.slice(3)).toEqual([`deposed reports ${second} true`]);
  });
});

describe('a handler for the leader only', () => {
  const ask = async (app: INestApplication, path: string, method = 'GET'): Promise<unknown[]> => {
    const server = app.getHttpServer() as { address(): { port: number } | null };
    if (!server.address()) await app.listen(0, '127.0.0.1');
    const response = await fetch(`http://127.0.0.1:${server.address()?.port}/${path}`, { method });
    const text = await response.text();
    return [response.status, response.status === 503 ? (JSON.parse(text) as unknown) : text];
  };

  it('is answered with 503 elsewhere, and with where the leader is', async () => {
    const leader = await replica('http://10.0.0.7:3000');
    const follower = await replica();
    const refusal = [
      503,
      {
        statusCode: 503,
        error: 'NotLeaderError',
        message: 'This cannot be done right now; try again soon.',
        leader: 'http://10.0.0.7:3000',
      },
    ];
    for (const [path, method, answer] of [
      ['page', 'GET', [200, 'page']],
      ['stream', 'GET', [200, 'rows']],
      ['guarded', 'POST', [201, 'guarded']],
      ['usual', 'GET', [200, 'usual']],
    ] as const) {
      expect([path, await ask(leader.app, path, method)]).toEqual([path, answer]);
      expect([path, await ask(follower.app, path, method)]).toEqual([path, refusal]);
    }
    // a leader that cannot be asked for is no reason to hang
    follower.backend.plan = () => 'before';
    await apps.clock.advance(1_000);
    expect((await ask(follower.app, 'page'))[1]).not.toHaveProperty('leader');
  });
});

describe('the inventory', () => {
  it('[55] knows what guards what, and warns of what can never run', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {
      @Cron(NEVER_BY_ITSELF)
      @Locked('per-request')
      run(): void {}
    }
    @Injectable()
    class Others {
      @Cron(NEVER_BY_ITSELF)
      @Locked('per-request')
      same(): void {}

      @Sharded({ group: 'imports', shards: 4 })
      @Interval(1_000_000)
      async import(shards: readonly Shard[]): Promise<string[]> {
        return shards.map(({ index, of: all, fence }) => `${index} of ${all} ${typeof fence}`);
      }
    }
    @Module({ providers: [Others] })
    class Second {}
    const { app } = await apps.start({
      imports: [ScheduleModule.forRoot(), Second],
      providers: [PerRequest, Others, Jobs],
    });
    const { methods } = app.get(LockInventory);
    expect(methods.find(({ site }) => site === 'Jobs.above')).toEqual({
      kind: 'leader-only',
      site: 'Jobs.above',
      subject: 'default',
      schedule: 'cron',
      instances: 1,
      warnings: [],
    });
    expect(methods.find(({ site }) => site === 'Others.import')).toMatchObject({
      kind: 'sharded',
      subject: 'imports',
      instances: 2,
    });
    const warnings = methods.flatMap((method) => method.warnings);
    expect(warnings).toEqual([
      'PerRequest.run is scheduled and guarded, but its class is made anew for each request, so it will never run by its schedule; make the class a singleton.',
      'PerRequest.run and Others.same are jobs with the same key "per-request", so one is left out while the other runs; give them different keys unless that is the purpose.',
    ]);
    await apps.clock.settle();
    expect(await app.get(Others).import([])).toEqual([
      '0 of 4 bigint',
      '1 of 4 bigint',
      '2 of 4 bigint',
      '3 of 4 bigint',
    ]);
    expect(app.get(ShardService).owned('imports')).toHaveLength(4);
  });

  it('refuses those who would be told, but are made for each request', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {
      @OnElected()
      elected(): void {}
    }
    await expect(apps.start({ providers: [PerRequest] })).rejects.toThrow(
      '@OnElected is on PerRequest.elected, but its class is made anew for each request, so there is no instance to tell; make the class a singleton.',
    );
  });

  it('refuses decorators where they cannot work', () => {
    expect(() => LeaderOnly()({}, 'x', {})).toThrow(/@LeaderOnly is on Object\.x, which is undefined/);
    expect(() => LeaderOnly('a b')({}, 'x', { value: () => undefined })).toThrow(/The name of a group/);
    expect(() =>
      LeaderOnly('a', { onFollower: 'wait' as never })({}, 'x', { value: () => undefined }),
    ).toThrow("onFollower of Object.x is \"wait\"; give 'skip' or 'throw'.");
    expect(() => OnElected()(class {}, 'x', { value: () => undefined })).toThrow(/which is static/);
  });
});

describe('a further lock service', () => {
  it('has elections, ticks and shards of its own', async () => {
    @Injectable()
    class Billing {
      @LeaderOnly('reports', { locks: 'billing' })
      async bill(): Promise<string> {
        return `billed under ${currentLease()?.key}`;
      }

      @OnElected('reports', { locks: 'billing' })
      elected({ term }: Leadership): void {
        told.push(`billing elected ${term}`);
      }

      @Sharded({ group: 'bills', shards: 2, locks: 'billing' })
      async all(shards: readonly Shard[]): Promise<number> {
        return shards.length;
      }
    }
    const name = 'billing';
    const { app } = await apps.start({
      imports: [LockModule.forRoot({ name, clock: apps.clock, leadership: { ttl: '2s' } })],
      providers: [Billing],
    });
    expect(await app.get(Billing).bill()).toBe('billed under leader:reports');
    expect(await app.get(Billing).all([])).toBe(2);
    expect(told).toEqual(['billing elected 1']);
    expect(app.get<LeaderService>(leaderServiceToken(name)).isLeader('reports')).toBe(true);
    expect(await app.get(LeaderService).whoLeads('reports')).toBeNull();
  });
});

describe('in unit tests', () => {
  it('everything leads, owns and runs with a module that lets everything pass', async () => {
    const module = await Test.createTestingModule({
      imports: [LockTestingModule.passThrough()],
      providers: [Jobs],
    }).compile();
    const app = module.createNestApplication({ logger: false });
    await app.init();
    await turns(10);
    expect(await app.get(Jobs).byHand('a test')).toBe('done for a test');
    expect(app.get(LeaderService).isLeader('reports')).toBe(true);
    await app.close();
  });
});
