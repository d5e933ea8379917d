import { LockError } from '../core/errors.js';
import type { HeldLease } from '../core/lease.js';

/** One part of the work of a group, in the hands of this replica. */
export interface Shard {
  /** From 0 to one less than there are. */
  readonly index: number;
  /** How many there are. */
  readonly of: number;
  /** Above those of all earlier owners of this shard. */
  readonly fence: bigint;
  /** Aborts when the shard is lost, or has to be given to another replica: end its work then. */
  readonly signal: AbortSignal;
  /**
   * To be called right before a step that cannot be undone; it reads the clock.
   *
   * @throws LockLostError, LockError when this replica must not work on it any more
   */
  assertOwned(): void;
}

/** A shard with its lease, and the work on it. */
export class OwnedShard implements Shard {
  readonly fence: bigint;
  readonly signal: AbortSignal;
  private readonly giving = new AbortController();
  /** What works on it, and on whose behalf. */
  private readonly work = new Map<Promise<unknown>, object>();
  /** It is on its way to another replica, or lost. */
  leaving = false;

  constructor(
    readonly index: number,
    readonly of: number,
    private readonly group: string,
    private readonly lease: HeldLease,
  ) {
    this.fence = lease.fence;
    lease.limitBy(this.giving.signal);
    this.signal = lease.signal;
  }

  /** Reads the clock. */
  get owned(): boolean {
    return !this.giving.signal.aborted && this.lease.held;
  }

  assertOwned(): void {
    this.lease.assertHeld();
  }

  /** Notes that something works on it, until that has settled. */
  occupy(work: Promise<unknown>, guard: object): void {
    const done = (): void => void this.work.delete(work);
    this.work.set(work, guard);
    work.then(done, done);
  }

  /** Whether an earlier run of the same method works on it still. */
  isOccupied(guard: object): boolean {
    return [...this.work.values()].includes(guard);
  }

  /** Tells the work on it to stop; resolves when it has. */
  async vacate(): Promise<void> {
    const message = `The shard ${this.index} of "${this.group}" goes to another replica; end the work on it.`;
    this.giving.abort(new LockError(message, { key: this.lease.key }));
    await Promise.allSettled(this.work.keys());
  }

  async giveBack(): Promise<void> {
    await this.lease[Symbol.asyncDispose]();
  }
}
