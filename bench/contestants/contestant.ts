import { setTimeout as sleep } from 'node:timers/promises';

export type ServerName = 'redis' | 'postgres' | 'mariadb';

/** One of those that the bench compares. Its code is loaded only by the processes in which it takes part. */
export interface Contestant {
  /** Of its row. */
  readonly name: string;
  /** Where its locks are. */
  readonly server: ServerName;
  /** Rejects where it cannot be loaded. */
  load(): Promise<OpenLocks>;
  /** What is missing where it cannot be loaded. */
  readonly needs?: string;
  /** Whether it can keep a lock beyond its ttl by itself. */
  readonly renews: boolean;
  /**
   * Leaves timers behind that go on sending commands when nobody waits any more. Its processes are replaced
   * after each turn in which somebody waited.
   */
  readonly litters?: boolean;
}

/** Opens a service instance, as a replica of an application has one: with connections of its own. */
export type OpenLocks = (url: string, ttlMs: number) => Promise<LockInstance>;

/** The least that all have in common. */
export interface LockInstance {
  /** Waits as long as it takes; the result gives the lock back. */
  acquire(key: string): Promise<Release>;
  /** The same with a lock that is renewed until it is given back, where `acquire` gives one that is not. */
  hold?(key: string): Promise<Release>;
  close(): Promise<unknown>;
}

/** Those who keep their locks on one server, and what they are measured by. */
export interface Field {
  readonly server: ServerName;
  readonly contestants: readonly Contestant[];
  readonly bare: Contestant;
}

/** Rejects, or resolves with false, when the lock had been lost. */
export type Release = () => Promise<unknown>;

/** What a server keeps a lock for when its holder died, for all alike. */
export const TTL_MS = 30_000;

/**
 * How often those ask again who can only ask: in the middle of what is in use. Asking more often wakes a
 * waiter sooner, and costs the server in the same measure.
 */
export const RETRY_MS = 50;

/** By which the processes of the bench know one: there are several of the same name. */
export function idOf({ server, name }: Contestant): string {
  return `${server} ${name}`;
}

/** For those who can only ask: asks until it is granted. */
export async function untilGranted(ask: () => Promise<boolean>): Promise<void> {
  while (!(await ask())) await sleep(RETRY_MS * (0.5 + Math.random()));
}

/**
 * For those who hand out a lock for as long as a callback runs: acquires, and returns what ends the callback.
 *
 * @param using runs the callback with the lock, and resolves when that was given back
 */
export function holdBy(
  using: (callback: (stillHeld: () => boolean) => Promise<boolean>) => Promise<boolean>,
): Promise<Release> {
  return new Promise((resolve, reject) => {
    const given = using(
      (stillHeld) =>
        new Promise((end) => {
          resolve(() => {
            end(stillHeld());
            return given;
          });
        }),
    );
    given.catch(reject);
  });
}
