import { type INestApplicationContext, type LoggerService, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  LeaderService,
  LockLostError,
  LockModule,
  lockServiceToken,
  type Leadership,
  type Lease,
  type LockService,
} from '../../../lib/index.js';
import type { LockBackend } from '../../../lib/backends/lock-backend.js';
import { Ledger, type Proof } from '../../support/ledger.js';
import {
  CALL_TIMEOUT_MS,
  type ActorPlan,
  type Contestant,
  type HeldLock,
  type KeyState,
  type Wish,
} from './contestant.js';
import { nowMs } from './monotonic.js';

const BACKENDS: Readonly<Record<string, (target: never) => Promise<LockBackend>>> = {
  memory: async () => (await import('../../../lib/backends/memory/index.js')).memory(),
  redis: async (target) => (await import('../../../lib/backends/redis/index.js')).redis(target),
  postgres: async (target) => (await import('../../../lib/backends/postgres/index.js')).postgres(target),
  mysql: async (target) => (await import('../../../lib/backends/mysql/index.js')).mysql(target),
};

/** This library, in a small Nest application. */
export class Interlock implements Contestant {
  private constructor(
    private readonly app: INestApplicationContext,
    private readonly services: readonly LockService[],
  ) {}

  /** @param told of what a server confirmed, found out apart from the service under test */
  static async start(
    plan: ActorPlan,
    warn: (text: string) => void,
    told: (proof: Proof) => void,
  ): Promise<Interlock> {
    const backendOf = async ({ kind, target }: ActorPlan['backend']): Promise<LockBackend> => {
      const make = BACKENDS[kind];
      if (!make) throw new Error(`There is no backend ${kind}.`);
      return new Ledger({ now: nowMs }, told).over(await make(target as never));
    };
    const settings = { prefix: plan.prefix, identity: plan.name, callTimeout: CALL_TIMEOUT_MS };
    const imports = [LockModule.forRoot({ ...settings, backend: await backendOf(plan.backend) })];
    if (plan.careful)
      imports.push(
        LockModule.forRoot({ ...settings, name: 'careful', backend: await backendOf(plan.careful) }),
      );

    @Module({ imports })
    class ActorModule {}

    const quiet = (): void => undefined;
    const logger: LoggerService = { log: quiet, error: warn, warn };
    const app = await NestFactory.createApplicationContext(ActorModule, { logger, abortOnError: false });
    const names = plan.careful ? [undefined, 'careful'] : [undefined];
    const services = names.map((name) => app.get<LockService>(lockServiceToken(name)));
    return new Interlock(app, services);
  }

  async acquire({ key, ttlMs, waitMs, signal, service }: Wish): Promise<HeldLock> {
    const locks = this.services[service === undefined ? 0 : 1];
    if (!locks) throw new Error(`There is no service ${service}.`);
    return new HeldLease(await locks.acquire(key, { ttl: ttlMs, wait: waitMs, signal }));
  }

  async lead({ key, signal }: Pick<Wish, 'key' | 'signal'>): Promise<HeldLock> {
    const leaders = this.app.get(LeaderService);
    return new HeldTerm(leaders, await leaders.waitForLeadership({ group: key, signal }));
  }

  async guard<T>({ key, ttlMs, waitMs }: Omit<Wish, 'signal'>, body: () => Promise<T>): Promise<T> {
    const [locks] = this.services;
    if (!locks) throw new Error('There is no service.');
    return locks.using(key, { ttl: ttlMs, wait: waitMs }, body);
  }

  async inspect(key: string): Promise<KeyState> {
    const snapshot = await this.services[0]?.inspect(key);
    return { holder: snapshot?.holders[0]?.owner.split('~')[0], waiting: snapshot?.waiting ?? 0 };
  }

  gauges(): Readonly<Record<string, number>> {
    const sum = { held: 0, waiting: 0, owed: 0 };
    for (const { gauges } of this.services) {
      sum.held += gauges.held;
      sum.waiting += gauges.waiting;
      sum.owed += gauges.owed;
    }
    return sum;
  }

  close(): Promise<void> {
    return this.app.close();
  }
}

class HeldLease implements HeldLock {
  constructor(private readonly lease: Lease) {}

  get fence(): bigint {
    return this.lease.fence;
  }

  isHeld(): boolean {
    try {
      this.lease.assertHeld();
      return true;
    } catch {
      return false;
    }
  }

  onLost(told: (reason: string) => void): void {
    onAbort(this.lease.signal, told);
  }

  release(): Promise<boolean> {
    return this.lease.release();
  }
}

class HeldTerm implements HeldLock {
  constructor(
    private readonly leaders: LeaderService,
    private readonly leadership: Leadership,
  ) {}

  get fence(): bigint {
    return this.leadership.term;
  }

  isHeld(): boolean {
    const { group, term } = this.leadership;
    return this.leaders.term(group) === term;
  }

  onLost(told: (reason: string) => void): void {
    onAbort(this.leadership.signal, told);
  }

  release(): Promise<boolean> {
    return this.leaders.resign(this.leadership.group);
  }
}

function onAbort(signal: AbortSignal, told: (reason: string) => void): void {
  const tell = (): void => {
    const reason: unknown = signal.reason;
    told(reason instanceof LockLostError ? reason.reason : String(reason));
  };
  if (signal.aborted) tell();
  else signal.addEventListener('abort', tell, { once: true });
}
