import { LockError, LockLostError } from './errors.js';
import type { Duration } from './duration.js';
import type { Hold } from './hold.js';

/**
 * One or several locks that were acquired together. It ends by `release()`, at the end of the `using` or
 * `@Locked` that made it, or by a loss.
 */
export interface Lease {
  /** The key, as the caller wrote it; of several the first in their global order. */
  readonly key: string;
  /** All of them, as the caller wrote them, in their global order. */
  readonly keys: readonly string[];
  /** A number above those of all earlier holders of this key; of several keys, that of `key`. */
  readonly fence: bigint;
  /** The fence of each key, by the key as the caller wrote it. */
  readonly fences: ReadonlyMap<string, bigint>;
  /** Aborts, with a `LockLostError` as its reason, when a lock is lost; never by a release. */
  readonly signal: AbortSignal;
  /** Whether it is neither released nor lost, by the clock as it is now. */
  readonly held: boolean;
  /** How many milliseconds longer the locks are certainly ours without another renewal; 0 when they are not held. */
  readonly expiresInMs: number;
  /**
   * Reads the clock, so it tells the truth after a blocked event loop too, when no signal has fired yet.
   * Call it right before a step that cannot be undone.
   *
   * @throws LockLostError when a lock was lost
   * @throws LockError when the lease was released
   */
  assertHeld(): void;
  /**
   * Sets the remaining lease to `ttl` from now, and renewals to the same.
   *
   * @param ttl from 20 ms to 24 hours
   * @throws LockLostError when a lock was lost
   * @throws LockError when the lease was released
   * @throws LockConfigurationError when the ttl is none
   * @throws LockUnavailableError when the server did not confirm it; the lease goes on, by the shorter
   *   of the old and the new ttl
   */
  extend(ttl: Duration): Promise<void>;
  /**
   * Gives the locks back. A second call gives the same answer.
   *
   * @returns false when a lock was not ours any more
   * @throws LockUnavailableError when the server did not confirm it; it is cleaned up in the background,
   *   and free at its ttl at the latest
   */
  release(): Promise<boolean>;
  /**
   * A text by which `LockService.adopt`, also in another process, goes on with these locks. When this lease was
   * acquired with `renew: false`, they are in the hands of whoever has the text from now on: neither its end
   * here nor a shutdown gives them back, only their ttl does.
   *
   * @throws LockLostError when a lock was lost
   * @throws LockError when the lease was released
   */
  handle(): string;
  /** Releases, for `await using`; never throws: what fails is in `events$`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a lease needs of the service that granted it. */
export interface LeaseHost {
  releaseAll(holds: readonly Hold[]): Promise<boolean>;
  extendAll(holds: readonly Hold[], ttl: Duration): Promise<void>;
  releaseFailed(key: string, error: unknown): void;
  handleOf(holds: readonly Hold[]): string;
  /** Whoever reads the clock and sees that the deadline has passed says so. */
  overdue(hold: Hold): void;
}

/** Aborts at the first loss among several holds, or at a limit; until its lease has ended. */
class JoinedSignal {
  readonly signal: AbortSignal;
  private readonly controller = new AbortController();
  private readonly onLoss = (): void => {
    this.controller.abort(this.holds.find(({ loss }) => loss)?.loss);
  };

  constructor(
    private readonly holds: readonly Hold[],
    limit: AbortSignal | undefined,
  ) {
    const { signal } = this.controller;
    this.signal = limit ? AbortSignal.any([signal, limit]) : signal;
    if (holds.some(({ loss }) => loss)) this.onLoss();
    else for (const hold of holds) hold.onLoss(this.onLoss);
  }

  end(): void {
    for (const hold of this.holds) hold.offLoss(this.onLoss);
  }
}

/** The lease that the service hands out: a share of one or more holds. */
export class HeldLease implements Lease {
  readonly key: string;
  private released: Promise<boolean> | undefined;
  private joined: JoinedSignal | undefined;
  private limit: AbortSignal | undefined;

  constructor(
    private readonly host: LeaseHost,
    private readonly holds: readonly [Hold, ...Hold[]],
  ) {
    this.key = holds[0].name;
  }

  get keys(): readonly string[] {
    return this.holds.map((hold) => hold.name);
  }

  get holdsByKey(): ReadonlyMap<string, Hold> {
    return new Map(this.holds.map((hold) => [hold.grant.claim.key, hold]));
  }

  get fence(): bigint {
    return this.holds[0].grant.fence;
  }

  get fences(): ReadonlyMap<string, bigint> {
    return new Map(this.holds.map((hold) => [hold.name, hold.grant.fence]));
  }

  get signal(): AbortSignal {
    this.noticeOverdue();
    if (this.holds.length === 1 && !this.limit) return this.holds[0].signal;
    return (this.joined ??= new JoinedSignal(this.holds, this.limit)).signal;
  }

  get held(): boolean {
    this.noticeOverdue();
    return !this.released && this.holds.every((hold) => hold.state === 'held');
  }

  get expiresInMs(): number {
    if (!this.held) return 0;
    return Math.min(...this.holds.map((hold) => hold.remainingMs));
  }

  assertHeld(): void {
    this.noticeOverdue();
    for (const { loss } of this.holds) if (loss) throw loss;
    if (this.limit?.aborted) throw this.limit.reason;
    if (this.released) {
      throw new LockError(
        `The lock "${this.key}" was released, so it guards nothing any more; do the work before the release.`,
        { key: this.key },
      );
    }
  }

  async extend(ttl: Duration): Promise<void> {
    this.assertHeld();
    await this.host.extendAll(this.holds, ttl);
  }

  release(): Promise<boolean> {
    if (this.released) return this.released;
    this.joined?.end();
    return (this.released = this.host.releaseAll(this.holds));
  }

  handle(): string {
    this.assertHeld();
    return this.host.handleOf(this.holds);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.release();
    } catch (error) {
      this.host.releaseFailed(this.key, error);
    }
  }

  /**
   * @internal The work has to end when `limit` aborts, for a reason other than a loss: the signal aborts then as well,
   * and `assertHeld` throws. The locks are kept until their release. To be called before anybody has the signal.
   */
  limitBy(limit: AbortSignal): void {
    this.limit = limit;
  }

  /** @internal The release leaves the keys busy until so long after their acquisition, however short the ttl. */
  lingerFor(sinceGrantMs: number): void {
    for (const hold of this.holds) hold.minHoldMs = sinceGrantMs;
  }

  private noticeOverdue(): void {
    for (const hold of this.holds) {
      if (hold.state === 'held' && hold.expired) this.host.overdue(hold);
    }
  }
}

/** The first loss among a lease's locks, for those who rather fail than go on. */
export function lossOf(lease: Lease): LockLostError | undefined {
  const { signal } = lease;
  return signal.aborted && signal.reason instanceof LockLostError ? signal.reason : undefined;
}
