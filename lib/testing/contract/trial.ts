import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Certainty } from '../../backends/backend-error.js';
import {
  isGrant,
  type Claim,
  type Grant,
  type LockBackend,
  type LockMode,
  type LockSnapshot,
  type Place,
} from '../../backends/lock-backend.js';
import { SystemClock, type Clock, type Timer } from '../../core/clock.js';
import type { ClaimedTraits, ContractOptions } from './contract-options.js';
import { TrackedBackend } from './tracked-backend.js';

/** A lease that does not expire by itself while a test runs, however slow the machine. */
export const LONG_TTL_MS = 20_000;
/** What a test may take altogether, on a slow machine. */
export const TRIAL_LIMIT_MS = 60_000;
/** What is told at once comes within that on a slow machine. */
const PROMPT_MS = 5_000;
/** Long enough for a hint that should not come to come. */
const QUIET_MS = 50;
const STEP_MS = 10;
const SIDE_BY_SIDE = 50;

/** One client of the server under test, and what it was told. */
export interface Client {
  readonly backend: TrackedBackend;
  /** The owners that were doubted; undefined for all. */
  readonly doubts: (string | undefined)[];
  readonly reports: Error[];
}

/** How often a place was hinted. */
export interface Hints {
  count: number;
}

/** What one test works with: clients, claims that are its own, and time. */
export class Trial {
  readonly clock: Clock;
  /** A lease that a test waits out. */
  readonly shortTtlMs: number;
  /** The key that most tests are about. */
  readonly key: string;
  private readonly clients: Client[] = [];
  private readonly keys = new Set<string>();
  private readonly openClaims = new Map<string, Claim>();
  private readonly token = randomBytes(6).toString('hex');
  private owners = 0;
  private over = false;

  constructor(private readonly options: ContractOptions) {
    this.clock = options.clock ?? new SystemClock();
    this.shortTtlMs = options.shortTtlMs ?? 300;
    this.key = this.keyOf('key');
  }

  /** The first client. */
  get backend(): LockBackend {
    return this.first.backend;
  }

  get claimedTraits(): ClaimedTraits {
    return this.options.traits;
  }

  get lockDelayMs(): number {
    return this.options.traits.lockDelayMs ?? 0;
  }

  get first(): Client {
    const [first] = this.clients;
    assert(first, 'the trial has been opened');
    return first;
  }

  /** Runs a body with one client started, then leaves the server as it was. */
  static async run(options: ContractOptions, body: (trial: Trial) => Promise<void>): Promise<void> {
    const trial = new Trial(options);
    try {
      await trial.connect();
      await body(trial);
      await trial.tidy();
      await trial.checkNothingIsLeft();
      await trial.stop();
    } finally {
      trial.over = true;
      await trial.tidy().catch(() => undefined);
      await trial.stop().catch(() => undefined);
      await options.cleanup?.();
    }
  }

  /** One more client of the same server; `skewMs` sets its clock wrong. */
  async connect(skewMs = 0): Promise<Client> {
    const backend = new TrackedBackend(await this.options.create(), this.openClaims);
    const client: Client = { backend, doubts: [], reports: [] };
    this.clients.push(client);
    await backend.start({
      clock: skewMs === 0 ? this.clock : skewed(this.clock, skewMs),
      identity: `contract-${this.clients.length}`,
      doubt: (owner) => void client.doubts.push(owner),
      report: (error) => void client.reports.push(error),
    });
    return client;
  }

  /** A key of this test alone. */
  keyOf(name: string): string {
    const key = `${this.options.keyspace ?? 'contract:'}${this.token}:${name}`;
    this.keys.add(key);
    return key;
  }

  /** A claim of a new owner: on the test's key, for long, without a place in the line unless said otherwise. */
  claim(mode: LockMode = 'exclusive', given: Partial<Claim> = {}): Claim {
    const owner = `contract~${this.token}-${++this.owners}`;
    const of = mode === 'shared' ? 0 : 1;
    return { key: this.key, owner, mode, take: 1, of, ttlMs: LONG_TTL_MS, queue: false, ...given };
  }

  /** A claim that cannot be granted while one of that mode is. */
  rival(mode: LockMode, given: Partial<Claim> = {}): Claim {
    return this.claim(mode === 'shared' ? 'exclusive' : mode, given);
  }

  /** Claims, and expects to be granted. */
  async granted(claim: Claim, backend: LockBackend = this.backend): Promise<Grant> {
    return expectGrant(await backend.claim(claim));
  }

  /** Claims, and expects to be told to wait. */
  async busy(claim: Claim, backend: LockBackend = this.backend): Promise<Place> {
    return expectPlace(await backend.claim(claim));
  }

  /** Claims with a place in the line. */
  async queued(
    mode: LockMode = 'exclusive',
    given: Partial<Claim> = {},
    backend?: LockBackend,
  ): Promise<Place> {
    return this.busy(this.claim(mode, { ...given, queue: true }), backend);
  }

  /** Expects that a key can be had by a claim that excludes everybody else. */
  async expectFree(key: string = this.key): Promise<void> {
    const mode = this.options.traits.modes.includes('exclusive') ? 'exclusive' : 'permits';
    const grant = await this.granted(this.claim(mode, { key }));
    assert.equal(await this.backend.release(grant), 'released');
  }

  async snapshot(key: string = this.key): Promise<LockSnapshot> {
    const snapshot = await this.backend.inspect(key);
    assert(snapshot, 'the key is held or waited for');
    return snapshot;
  }

  /** Counts the hints that a place gets. */
  listen(place: Place): Hints {
    const hints: Hints = { count: 0 };
    place.onHint(() => void hints.count++);
    return hints;
  }

  async hinted(hints: Hints, who: string): Promise<void> {
    await this.until(() => hints.count > 0, `a hint for ${who}`);
  }

  /** Lets time pass. */
  async wait(ms: number): Promise<void> {
    if (this.options.wait) await this.options.wait(ms);
    else await this.sleep(ms);
  }

  /** Long enough for a hint that should not come to come. */
  async quiet(): Promise<void> {
    await this.wait(QUIET_MS);
  }

  /** Lets a lease of the short ttl run out, and the lockDelay behind it. */
  async expire(): Promise<void> {
    await this.wait(this.shortTtlMs * 1.25 + QUIET_MS + this.lockDelayMs);
  }

  /** Lets a lease of the short ttl run out, but not the lockDelay behind it. */
  async die(): Promise<void> {
    await this.wait(this.shortTtlMs + Math.min(STEP_MS, this.lockDelayMs / 2));
  }

  async until(reached: () => boolean, what: string, limitMs = PROMPT_MS): Promise<void> {
    const endMs = this.clock.now() + limitMs;
    while (!reached()) {
      assert(this.clock.now() < endMs, `${what} did not come within ${limitMs} ms`);
      await this.wait(STEP_MS);
    }
  }

  /** Lets time pass until a promise settles. */
  async drive<T>(promise: Promise<T>, what: string, limitMs = TRIAL_LIMIT_MS / 2): Promise<T> {
    let settled = false;
    const settle = (): void => void (settled = true);
    promise.then(settle, settle);
    await this.until(() => settled, what, limitMs);
    return promise;
  }

  /** Lets time pass while these places show signs of life; none of them may be granted meanwhile. */
  async stay(ms: number, ...places: readonly Place[]): Promise<void> {
    const endMs = this.clock.now() + ms;
    while (this.clock.now() < endMs) {
      await this.wait(Math.min(this.backend.traits.pollMs, endMs - this.clock.now()));
      for (const place of places) expectPlace(await place.retry());
    }
  }

  /** Sleeps inside something that is driven. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.clock.setTimer(resolve, ms);
    });
  }

  /** Waits in a place as the core does: asks at each hint, each poll and the holder's expiry. To be driven. */
  waitFor(place: Place): Promise<Grant> {
    const granted = this.waitInLine(place);
    granted.catch(() => undefined);
    return granted;
  }

  /** Claims, and waits for as long as it takes. To be driven. */
  async acquire(claim: Claim, backend: LockBackend = this.backend): Promise<Grant> {
    const answer = await backend.claim(claim);
    return isGrant(answer) ? answer : this.waitInLine(answer);
  }

  private async waitInLine(place: Place): Promise<Grant> {
    let answer: Grant | Place = place;
    while (!isGrant(answer)) {
      await this.hintOrPoll(answer);
      assert(!this.over, 'the test ended while somebody was waiting');
      answer = await answer.retry();
    }
    return answer;
  }

  private hintOrPoll(place: Place): Promise<void> {
    const worthWhileMs = place.busy.expiresInMs ?? Infinity;
    const pollMs = Math.max(1, Math.min(this.backend.traits.pollMs, worthWhileMs));
    return new Promise((resolve) => {
      const timer: Timer = this.clock.setTimer(resolve, pollMs);
      place.onHint(() => {
        timer.clear();
        resolve();
      });
    });
  }

  /** By the first client, which no test stops. */
  private async tidy(): Promise<void> {
    const [first] = this.clients;
    if (first) await sideBySide([...this.openClaims.values()], (claim) => first.backend.abandon(claim));
  }

  private async stop(): Promise<void> {
    await Promise.all(this.clients.map(({ backend }) => backend.stop()));
  }

  private async checkNothingIsLeft(): Promise<void> {
    await sideBySide([...this.keys], async (key) => {
      assert.equal(await this.backend.inspect(key), null, `nothing is left of ${key}`);
    });
    const { leftovers, sideBySide: atOnce = 1 } = this.options;
    const left = ((await leftovers?.()) ?? []).filter((name) => atOnce === 1 || name.includes(this.token));
    assert.deepEqual(left, [], 'nothing is left on the server');
    for (const { reports } of this.clients) assert.deepEqual(reports, [], 'nothing was reported');
  }
}

/** A step for each item, not all at once: a server may have few connections. */
export async function sideBySide<T, R>(items: readonly T[], step: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  while (results.length < items.length) {
    const some = items.slice(results.length, results.length + SIDE_BY_SIDE);
    results.push(...(await Promise.all(some.map(step))));
  }
  return results;
}

export function expectGrant(answer: Grant | Place): Grant {
  if (isGrant(answer)) return answer;
  assert.fail(`expected a grant, and was told to wait: ${JSON.stringify(answer.busy)}`);
}

export function expectPlace(answer: Grant | Place): Place {
  if (!isGrant(answer)) return answer;
  assert.fail(`expected to have to wait, and was granted fence ${answer.fence}`);
}

/** Expects a rejection with a BackendError, of that certainty unless any will do. */
export async function expectBackendError(call: Promise<unknown>, certainty?: Certainty): Promise<void> {
  const reason = await call.then(
    (value: unknown) => assert.fail(`expected a rejection, and got ${describe(value)}`),
    (error: unknown) => error,
  );
  assert(reason instanceof Error, 'it rejects with an Error');
  // by name: the package may be loaded twice
  assert.equal(reason.name, 'BackendError', `it rejects with a BackendError, not with ${String(reason)}`);
  const said = (reason as Error & { certainty?: unknown }).certainty;
  if (certainty) assert.equal(said, certainty, `the outcome is ${certainty}`);
  else assert(said === 'denied' || said === 'unknown', 'the error says how certain it is');
}

function describe(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  return 'fence' in value ? 'a grant' : Object.keys(value).join(', ');
}

function skewed(clock: Clock, skewMs: number): Clock {
  return {
    now: () => clock.now() + skewMs,
    setTimer: (callback, delayMs, background) => clock.setTimer(callback, delayMs, background),
  };
}
