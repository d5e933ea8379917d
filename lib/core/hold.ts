import type { Grant, LockMode } from '../backends/lock-backend.js';
import type { Link } from './chain.js';
import type { Clock } from './clock.js';
import { LockLostError, type LossReason } from './errors.js';
import type { LockSubject } from './events.js';

/**
 * How much earlier than the server we take a lease to be over: clocks may run at rates that differ by this much, and
 * timers have a grain.
 */
const DRIFT_RATE = 0.01;
const DRIFT_MS = 2;

/** Until when we may believe in a lease that was asked for by a request sent at `sentAtMs`. */
export function deadlineOf(sentAtMs: number, ttlMs: number): number {
  return sentAtMs + ttlMs - (ttlMs * DRIFT_RATE + DRIFT_MS);
}

/**
 * One key that this process holds: the server's grant, how long we may believe in it, and how many leases
 * share it. It sends nothing itself.
 */
export class Hold implements Link<Hold> {
  /** `held`, until it is `released` by us or `lost`; the last two are for ever. */
  state: 'held' | 'released' | 'lost' = 'held';
  loss: LockLostError | undefined;
  /** From when on it counts as held, by the local clock. */
  readonly sinceMs: number;
  /** Leases that share this hold by re-entry. */
  shares = 1;
  /** By the local clock; from before the send of the last request that was confirmed. */
  deadlineMs = 0;
  renewAtMs = 0;
  /** The longest ttl that was ever asked for, heard or not: so long the server may keep what we leave behind. */
  longestTtlMs: number;
  /**
   * The shortest ttl of those claims and renewals that were not answered in time. One of them may still be on its way,
   * and would set the server's lease to its ttl whenever it arrives: no longer one is to be relied on.
   */
  stragglerTtlMs = Infinity;
  /** How long the first lease is, when it is shorter than those to come; until the first renewal. */
  private firstLeaseMs: number;
  /** The renewal in flight; it never rejects. */
  renewal: Promise<unknown> | undefined;
  /** The server is being asked whether it is still ours, and for nothing more. */
  looking = false;
  /** Somebody wanted to know whether it is still ours while a renewal or a look was in flight. */
  doubted = false;
  /** True when somebody else may go on with it by its handle, and nobody here keeps it alive. */
  handedOver = false;
  /** True when a claim of this owner may still be on its way to the server. */
  uncertain = false;
  /** What its key has in common with others, for those who listen. */
  pattern: string | undefined;
  /** That it is held for long has been told, or is meant to be. */
  isKnownToLast = false;

  /** In the keeper's chain. */
  before: Hold | undefined;
  after: Hold | undefined;

  private controller: AbortController | undefined;
  private lossListeners: Set<() => void> | undefined;

  constructor(
    readonly name: string,
    public grant: Grant,
    readonly renews: boolean,
    public minHoldMs: number,
    private readonly clock: Clock,
    private line: { freed(): void; readonly isAwaited: boolean } | undefined,
  ) {
    this.longestTtlMs = grant.claim.ttlMs;
    this.firstLeaseMs = grant.leaseMs ?? Infinity;
    this.sinceMs = grant.leaseMs === undefined ? grant.sentAtMs : clock.now();
    this.count(grant.sentAtMs);
  }

  get mode(): LockMode {
    return this.grant.claim.mode;
  }

  /** Whether another caller of this process waits for the key. */
  get isAwaited(): boolean {
    return this.line?.isAwaited === true;
  }

  /** The key is on its way back: tells, once, those of this process who wait for it. */
  end(): void {
    const { line } = this;
    this.line = undefined;
    line?.freed();
  }

  /** The server confirmed the lease by the answer to a renewal that was sent at `sentAtMs`. */
  confirm(sentAtMs: number): void {
    this.firstLeaseMs = Infinity;
    this.count(sentAtMs);
  }

  private count(sentAtMs: number): void {
    const ttlMs = this.reliableTtlMs;
    this.deadlineMs = deadlineOf(sentAtMs, ttlMs);
    this.renewAtMs = this.renews ? sentAtMs + ttlMs / 3 : Infinity;
  }

  /** How long a lease that the server confirms now lasts at least. */
  get reliableTtlMs(): number {
    return Math.min(this.grant.claim.ttlMs, this.stragglerTtlMs, this.firstLeaseMs);
  }

  /** When the keeper has to look at it next. */
  get dueAtMs(): number {
    return this.renewal ? this.deadlineMs : Math.min(this.renewAtMs, this.deadlineMs);
  }

  /** Reads the clock: after a blocked event loop no timer and no signal has fired yet. */
  get expired(): boolean {
    return this.clock.now() >= this.deadlineMs;
  }

  get remainingMs(): number {
    return this.state === 'held' ? Math.max(0, this.deadlineMs - this.clock.now()) : 0;
  }

  /** How long the key has to stay busy after its release, for `minHold`. */
  get lingerMs(): number {
    if (this.minHoldMs === 0) return 0;
    return Math.max(0, Math.ceil(this.sinceMs + this.minHoldMs - this.clock.now()));
  }

  /** Aborts with a LockLostError at a loss; already aborted when asked for after it. */
  get signal(): AbortSignal {
    this.controller ??= new AbortController();
    if (this.loss) this.controller.abort(this.loss);
    return this.controller.signal;
  }

  onLoss(listener: () => void): void {
    (this.lossListeners ??= new Set()).add(listener);
  }

  /** Undoes {@link onLoss}: a lease may end before the hold that it shares. */
  offLoss(listener: () => void): void {
    this.lossListeners?.delete(listener);
  }

  /** Marks the loss and tells everybody. False when it is not held any more anyway. */
  lose(reason: LossReason): boolean {
    if (this.state !== 'held') return false;
    this.state = 'lost';
    this.loss = new LockLostError(lossMessage(this, reason), {
      key: this.name,
      reason,
      fence: this.grant.fence,
    });
    this.controller?.abort(this.loss);
    for (const listener of this.lossListeners ?? []) listener();
    return true;
  }
}

function lossMessage(hold: Hold, reason: LossReason): string {
  const what = `The lock "${hold.name}" (fence ${hold.grant.fence}) was lost`;
  switch (reason) {
    case 'gone':
      return `${what}: the server says that it is not ours any more (expired, evicted or wiped). Stop the work it guards.`;
    case 'silent':
      return `${what}: no renewal was confirmed within its ttl of ${hold.grant.claim.ttlMs} ms, so somebody else may hold it now. Stop the work it guards.`;
    case 'shutdown':
      return `${what}: the service was shut down while it was held. Let the work end before the application closes.`;
  }
}

/** What events say of a hold. */
export function subjectOf({ name, grant, pattern }: Hold): LockSubject & { readonly fence: bigint } {
  return { key: name, mode: grant.claim.mode, pattern, fence: grant.fence };
}
