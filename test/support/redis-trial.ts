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
import { SystemClock } from '../../lib/core/clock.js';
import { RedisServer } from './redis-server.js';

export { until } from './until.js';

/** A backend that was started, and what it told its core. */
export interface Client {
  readonly backend: LockBackend;
  readonly doubts: (string | undefined)[];
  readonly reports: Error[];
}

/** One redis-server, backends on it, and an eye on its keys. */
export class RedisTrial {
  readonly clock = new SystemClock();
  private readonly clients: Client[] = [];
  private owners = 0;

  private constructor(
    readonly server: RedisServer,
    readonly admin: Redis,
  ) {}

  static async open(...settings: string[]): Promise<RedisTrial> {
    const server = await RedisServer.start(...settings);
    const admin = new Redis({ port: server.port, retryStrategy: () => 50, maxRetriesPerRequest: null });
    admin.on('error', () => undefined);
    return new RedisTrial(server, admin);
  }

  async connect(backend: LockBackend = redis(this.server.url)): Promise<Client> {
    const client: Client = { backend, doubts: [], reports: [] };
    await backend.start({
      clock: this.clock,
      identity: 'trial',
      doubt: (owner) => void client.doubts.push(owner),
      report: (error) => void client.reports.push(error),
    });
    this.clients.push(client);
    return client;
  }

  claim(given: Partial<Claim> = {}): Claim {
    const owner = `owner-${++this.owners}`;
    const of = given.mode === 'shared' ? 0 : 1;
    return { key: 'trial:key', owner, mode: 'exclusive', take: 1, of, ttlMs: 20_000, queue: false, ...given };
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
    await Promise.all(this.clients.splice(0).map(({ backend }) => backend.stop()));
    await this.admin.flushall();
  }

  async close(): Promise<void> {
    await Promise.all(this.clients.splice(0).map(({ backend }) => backend.stop()));
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
