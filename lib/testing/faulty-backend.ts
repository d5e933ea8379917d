import { BackendError } from '../backends/backend-error.js';
import {
  isGrant,
  type BackendContext,
  type BackendTraits,
  type Claim,
  type Grant,
  type LockBackend,
  type LockSnapshot,
  type NodeHealth,
  type Place,
  type RenewOutcome,
} from '../backends/lock-backend.js';

/**
 * How a backend call fails.
 *
 * - `before`: it is denied; nothing was sent.
 * - `after`: it is carried out, and then reported as unknown: the reply was lost.
 * - `hang`: nothing is sent, and it never settles.
 * - `hang-after`: it is carried out, and never settles.
 * - `rubbish`: nothing is sent, and it rejects with something that is no BackendError.
 * - `throw`: nothing is sent, and it throws synchronously.
 */
export type Fault = 'before' | 'after' | 'hang' | 'hang-after' | 'rubbish' | 'throw';

/** All faults, for tests that go through them. */
export const FAULTS: readonly Fault[] = ['before', 'after', 'hang', 'hang-after', 'rubbish', 'throw'];

/** The calls that can fail; `retry` is that of a place. `nodes` never rejects, and is not among them. */
export type BackendMethod =
  | 'start'
  | 'claim'
  | 'retry'
  | 'stay'
  | 'abandon'
  | 'renew'
  | 'release'
  | 'inspect'
  | 'list'
  | 'evict'
  | 'stop';

/** One call that was made. */
export interface BackendCall {
  /** What was called. */
  readonly method: BackendMethod;
  /** Its number among all calls, from 1. */
  readonly n: number;
  /** Its number among the calls of the same method, from 1. */
  readonly nOfMethod: number;
  /** What it was about; the first one in a batch of renewals, the prefix of a list. */
  readonly key?: string;
  /** Whose call it was; absent for calls about no claim. */
  readonly owner?: string;
  /** How many leases a batch of renewals has, or claims a sign of life; 1 for other calls. */
  readonly size: number;
  /** How it was made to fail; absent when it was not. */
  readonly fault?: Fault;
}

/** Makes one call fail: the `call`-th of all, or of those of `method`; with `onward` all later ones as well. */
export interface FaultyCall {
  /** Counted from 1. */
  readonly call: number;
  /** Whose calls are counted. Default: all are. */
  readonly method?: BackendMethod;
  /** How it fails. */
  readonly fault: Fault;
  /** Whether all later ones fail as well. Default false. */
  readonly onward?: boolean;
}

/** Which calls fail, and how: a list, or a function that is asked at each call. */
export type FaultPlan =
  FaultyCall | readonly FaultyCall[] | ((call: Omit<BackendCall, 'fault'>) => Fault | undefined);

type Subject = Pick<BackendCall, 'key' | 'owner'> & { readonly size?: number };

/**
 * Wraps a backend so that the n-th call fails. Go through each n and each fault of a scenario, and nothing may leak,
 * hang or be held twice.
 *
 * @example
 * const backend = faulty(memory(), { call: 2, method: 'renew', fault: 'after' });
 * const dead = faulty(memory(), { call: 1, method: 'claim', fault: 'hang', onward: true });
 */
export function faulty(backend: LockBackend, plan: FaultPlan = []): FaultyBackend {
  return new FaultyBackend(backend, plan);
}

/** See {@link faulty}. */
export class FaultyBackend implements LockBackend {
  readonly traits: BackendTraits;
  readonly stay?: (claims: readonly Claim[]) => Promise<readonly boolean[]>;
  /** All calls so far, oldest first. */
  readonly calls: BackendCall[] = [];
  /** May be replaced at any time; the counts go on. */
  plan: FaultPlan;
  private readonly counts = new Map<BackendMethod, number>();
  private count = 0;

  constructor(
    private readonly inner: LockBackend,
    plan: FaultPlan,
  ) {
    this.traits = inner.traits;
    this.plan = plan;
    if (inner.stay) this.stay = (claims) => this.carryOutStay(claims);
  }

  /** Forgets the calls and counts from 1 again. */
  reset(): void {
    this.calls.length = 0;
    this.counts.clear();
    this.count = 0;
  }

  start(context: BackendContext): Promise<void> {
    return this.carryOut('start', {}, () => this.inner.start(context));
  }

  claim(claim: Claim): Promise<Grant | Place> {
    return this.carryOut('claim', claim, async () => this.wrap(claim, await this.inner.claim(claim)));
  }

  abandon(claim: Claim): Promise<void> {
    return this.carryOut('abandon', claim, () => this.inner.abandon(claim));
  }

  renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    const subject = { ...grants[0]?.claim, size: grants.length };
    return this.carryOut('renew', subject, () => this.inner.renew(grants));
  }

  release(grant: Grant, lingerMs?: number, followed?: boolean): Promise<'released' | 'gone'> {
    return this.carryOut('release', grant.claim, () => this.inner.release(grant, lingerMs, followed));
  }

  inspect(key: string): Promise<LockSnapshot | null> {
    return this.carryOut('inspect', { key }, () => this.inner.inspect(key));
  }

  async *list(prefix: string): AsyncGenerator<LockSnapshot | undefined> {
    yield* await this.carryOut('list', { key: prefix }, () => collect(this.inner.list(prefix)));
  }

  evict(key: string): Promise<boolean> {
    return this.carryOut('evict', { key }, () => this.inner.evict(key));
  }

  nodes(limitMs?: number): Promise<readonly NodeHealth[]> {
    return this.inner.nodes(limitMs);
  }

  stop(): Promise<void> {
    return this.carryOut('stop', {}, () => this.inner.stop());
  }

  private carryOutStay(claims: readonly Claim[]): Promise<readonly boolean[]> {
    const subject = { ...claims[0], size: claims.length };
    return this.carryOut('stay', subject, async () => (await this.inner.stay?.(claims)) ?? []);
  }

  /** Not async: a fault may have to throw synchronously. */
  private carryOut<T>(method: BackendMethod, subject: Subject, step: () => Promise<T>): Promise<T> {
    const what = `the ${method} call no. ${this.count + 1}`;
    switch (this.note(method, subject)) {
      case undefined:
        return step();
      case 'before':
        return Promise.reject(new BackendError(`Planned: ${what} is denied before it is sent.`, 'denied'));
      case 'after':
        return lose(step, new BackendError(`Planned: the reply to ${what} is lost.`, 'unknown'));
      case 'hang':
        return silence();
      case 'hang-after':
        step().catch(() => undefined);
        return silence();
      case 'rubbish':
        return Promise.reject(new TypeError(`Planned: ${what} rejects with rubbish.`));
      case 'throw':
        throw new TypeError(`Planned: ${what} throws synchronously.`);
    }
  }

  private note(method: BackendMethod, { key, owner, size = 1 }: Subject): Fault | undefined {
    const n = ++this.count;
    const nOfMethod = (this.counts.get(method) ?? 0) + 1;
    this.counts.set(method, nOfMethod);
    const about = { ...(key !== undefined && { key }), ...(owner !== undefined && { owner }) };
    const call = { method, n, nOfMethod, ...about, size };
    const fault = planned(this.plan, call);
    this.calls.push({ ...call, ...(fault && { fault }) });
    return fault;
  }

  private wrap(claim: Claim, answer: Grant | Place): Grant | Place {
    if (isGrant(answer)) return answer;
    const retry = async (): Promise<Grant | Place> => this.wrap(claim, await answer.retry());
    return {
      busy: answer.busy,
      onHint: (wake) => answer.onHint(wake),
      retry: () => this.carryOut('retry', claim, retry),
    };
  }
}

function planned(plan: FaultPlan, call: Omit<BackendCall, 'fault'>): Fault | undefined {
  if (typeof plan === 'function') return plan(call);
  const items = 'fault' in plan ? [plan] : plan;
  const hit = items.find((item) => {
    if (item.method !== undefined && item.method !== call.method) return false;
    const n = item.method === undefined ? call.n : call.nOfMethod;
    return item.onward ? n >= item.call : n === item.call;
  });
  return hit?.fault;
}

/** Whoever loses a reply does not learn of a denial in it either. */
async function lose(step: () => Promise<unknown>, error: BackendError): Promise<never> {
  await step().catch(() => undefined);
  throw error;
}

function silence(): Promise<never> {
  return new Promise(() => {});
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
