import { LockConfigurationError, LockError, show } from './errors.js';

/** A write came with a fence that is older than one already seen: its holder lost the lock. */
export class StaleFenceError extends LockError {
  static override readonly kind = 'StaleFenceError';
  /** That of the write. */
  readonly fence: bigint;
  /** The newest that was seen for the key. */
  readonly newestFence: bigint;

  constructor(key: string, fence: bigint, newestFence: bigint) {
    super(
      `The write under "${key}" carries fence ${fence}, but fence ${newestFence} was seen already: its holder has lost the lock. Drop the write.`,
      { key },
    );
    this.fence = fence;
    this.newestFence = newestFence;
  }
}

/**
 * Refuses writes of holders who have lost their lock and do not know it yet. It belongs where the writes are
 * carried out, in front of the resource, and remembers one number a key; a database does the same with a
 * column: `UPDATE … SET fence = :fence WHERE id = :id AND fence <= :fence`.
 *
 * Source: M. Kleppmann, "How to do distributed locking", 2016.
 */
export class FenceGuard {
  private readonly newest = new Map<string, bigint>();

  /**
   * True, and remembered, unless a newer fence was seen for this key; an equal one is the same holder's.
   *
   * @throws LockConfigurationError when the fence is no bigint
   */
  accepts(key: string, fence: bigint): boolean {
    if (typeof fence !== 'bigint') {
      throw new LockConfigurationError(
        `The fence of a write under "${key}" is ${show(fence)}; give the lease's fence, a bigint: BigInt(text) reads one that came as text.`,
      );
    }
    const newest = this.newest.get(key);
    if (newest !== undefined && fence < newest) return false;
    this.newest.set(key, fence);
    return true;
  }

  /**
   * @throws StaleFenceError when a newer fence was seen for this key
   * @throws LockConfigurationError when the fence is no bigint
   */
  check(key: string, fence: bigint): void {
    if (!this.accepts(key, fence)) throw new StaleFenceError(key, fence, this.newest.get(key) ?? fence);
  }
}
