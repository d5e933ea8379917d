import type { BackendTraits, LockBackend } from '../../backends/lock-backend.js';
import type { Clock } from '../../core/clock.js';
import type { TestRunner } from './runner.js';

/** The traits that decide which cases a backend has to pass. */
export type ClaimedTraits = Pick<BackendTraits, 'modes' | 'fence' | 'wakeUp' | 'lockDelayMs'> & {
  /** Whether it shows life for many places in one step: has the optional `stay`. Default false. */
  readonly stay?: boolean;
};

/** The options of {@link describeLockBackend}. */
export interface ContractOptions {
  /** Default: the global `describe` and `it`. */
  readonly runner?: TestRunner;

  /**
   * What the backend is expected to be able to do. It is said here once more, so that a backend that loses a trait
   * fails instead of being asked less.
   */
  readonly traits: ClaimedTraits;

  /** Makes a backend that is not started yet; each one is another client of the same server and keyspace. */
  create(): LockBackend | Promise<LockBackend>;

  /** What all keys begin with; default `contract:`. Out of the canonical characters. */
  readonly keyspace?: string;

  /** The clock that the backends are started with; default: the machine's. */
  readonly clock?: Clock;

  /**
   * Lets time pass, for the server as well. Default: sleeps. With a manual clock:
   * `(ms) => clock.advance(ms)`.
   */
  wait?(ms: number): Promise<void>;

  /**
   * The length in milliseconds of the leases that the suite lets expire; default 300. Longer for servers with a
   * coarse sense of time.
   */
  readonly shortTtlMs?: number;

  /**
   * How many cases are under way at a time; default 1. Most of them wait most of the time, and each has keys of its
   * own, so a server that tells clients apart is through the suite much sooner. Not with a clock that `wait` drives.
   */
  readonly sideBySide?: number;

  /**
   * The names of what is on the server and ought not to be: nothing, after each test. Leave out documented marks. With
   * `sideBySide`, a case counts only names that contain a key of its own; all others are counted after the last one.
   */
  leftovers?(): Promise<readonly string[]>;

  /** Called after each test, whatever came of it. */
  cleanup?(): Promise<void>;
}
