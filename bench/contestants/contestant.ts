/** One of those that the bench compares. */
export interface Contestant {
  readonly name: string;
  /** A service instance, as a replica of an application has one: with connections of its own. */
  open(url: string): Promise<LockInstance>;
}

/** The least that all have in common. */
export interface LockInstance {
  /** Waits as long as it takes; the result gives the lock back. */
  acquire(key: string): Promise<Release>;
  close(): Promise<void>;
}

export type Release = () => Promise<unknown>;

/** What a server keeps a lock for when its holder died, for all alike. */
export const TTL_MS = 30_000;

/**
 * How often those ask again who can only ask: in the middle of what is in use. Asking more often wakes a
 * waiter sooner, and costs the server in the same measure.
 */
export const RETRY_MS = 50;
