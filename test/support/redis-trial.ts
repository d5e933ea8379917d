import assert from 'node:assert/strict';
import { Redis } from 'ioredis';
import {
  isGrant,
  type Claim,
  type Grant,
  type LockBackend,
  type Place,
} from '../../lib/backends/lock-backend.js';
import { redis } from '../../lib/backends/redis/index.js';
import { BackendTrial, type Client } from './backend-trial.js';
import { RedisServer } from './redis-server.js';

export type { Client } from './backend-trial.js';
export { until } from './until.js';

/** One redis-server, backends on it, and an eye on its keys. */
export class RedisTrial extends BackendTrial {
  private constructor(
    readonly server: RedisServer,
    readonly admin: Redis,
  ) {
    super();
  }

  static async open(...settings: string[]): Promise<RedisTrial> {
    return RedisTrial.over(await RedisServer.start(...settings));
  }

  /** On a server that was started for it, and ends with it. */
  static async over(server: RedisServer): Promise<RedisTrial> {
    const admin = new Redis({ port: server.port, retryStrategy: () => 50, maxRetriesPerRequest: null });
    admin.on('error', () => undefined);
    return new RedisTrial(server, admin);
  }

  connect(backend: LockBackend = redis(this.server.url)): Promise<Client> {
    return this.start(backend);
  }

  /** Everything that the server keeps, apart from the last fence and the marks of abandoned claims. */
  async names(): Promise<string[]> {
    const names = await this.admin.keys('*');
    return names.filter((name) => !name.endsWith(':fence') && !name.includes(':gone:')).sort();
  }

  /** The rule of the house: no key stays for ever, whatever happens to us. */
  async checkExpiries(): Promise<void> {
    for (const name of await this.admin.keys('*')) {
      assert.notEqual(await this.admin.pttl(name), -1, `${name} expires some time`);
    }
  }

  /** Empties the server for the next test. */
  async clear(): Promise<void> {
    await this.checkExpiries();
    await this.stopAll();
    await this.admin.flushall();
  }

  async close(): Promise<void> {
    await this.stopAll();
    this.admin.disconnect();
    await this.server.stop();
  }

  /** How many scripts the server has run since the last `CONFIG RESETSTAT`. */
  async scriptCalls(): Promise<number> {
    const stats = await this.admin.info('commandstats');
    return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1] ?? 0);
  }
}

export async function granted(backend: LockBackend, claim: Claim): Promise<Grant> {
  const answer = await backend.claim(claim);
  assert(isGrant(answer), 'it is granted');
  return answer;
}

export async function busy(backend: LockBackend, claim: Claim): Promise<Place> {
  const answer = await backend.claim(claim);
  assert(!isGrant(answer), 'it has to wait');
  return answer;
}

/** Counts hints. */
export function listenTo(place: Place): { hints: number } {
  const ear = { hints: 0 };
  place.onHint(() => void ear.hints++);
  return ear;
}

/** Waits as the core does: asks at each hint and each poll. */
export async function waitFor(backend: LockBackend, claim: Claim): Promise<Grant> {
  let answer = await backend.claim(claim);
  while (!isGrant(answer)) {
    await hintOrPoll(answer, backend.traits.pollMs);
    answer = await answer.retry();
  }
  return answer;
}

function hintOrPoll(place: Place, pollMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.min(pollMs, (place.busy.expiresInMs ?? pollMs) + 1));
    place.onHint(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** What a call was rejected with. */
export async function failureOf(call: Promise<unknown>): Promise<{ message: string; certainty: unknown }> {
  const failure: unknown = await call.then(
    () => assert.fail('it is rejected'),
    (error: unknown) => error,
  );
  assert(failure instanceof Error);
  assert.equal(failure.name, 'BackendError', String(failure));
  return { message: failure.message, certainty: 'certainty' in failure ? failure.certainty : undefined };
}
