import { durationMs, type Duration } from './core/duration.js';
import { LockConfigurationError, show, type LockTimeoutError } from './core/errors.js';
import type { Lease } from './core/lease.js';
import type { Keys } from './core/key.js';
import { LONGEST_PATTERN, termsOf, type GuardOptions } from './core/options.js';

const AT_MOST = { minMs: 1, maxMs: 30 * 86_400_000 };

/** What a handler of a busy key gets to know. */
export interface Busy {
  /** Who is in the way, and how long one waited. */
  readonly error: LockTimeoutError;
  /** The arguments of the call that did not run. */
  readonly args: readonly unknown[];
}

/** What a busy key does to a call. */
export type OnBusy = 'throw' | 'skip' | ((busy: Busy) => unknown);

/** The options of `@Locked` and of the lock interceptor. */
export interface LockedOptions extends GuardOptions {
  /**
   * What happens when the key is not free within `wait`. `throw`: the call rejects with `LockTimeoutError`.
   * `skip`: it resolves with undefined, and nothing has run. A function: it resolves with what that returns, or
   * rejects with what that throws. An Observable emits what a call would resolve with, undefined included, and
   * completes. Default `throw`; on scheduled methods `skip`.
   */
  readonly onBusy?: OnBusy;
  /**
   * How long the work may take: after that `currentLease().signal` aborts, and `assertHeld()` throws. The lock is kept
   * until the work has ended, so that it never meets its successor. Default: without end.
   */
  readonly atMost?: Duration;
  /** The `name` of the lock service to use. Default: the one without a name. */
  readonly locks?: string;
}

/** One call of a guarded method or handler. */
export interface GuardedCall {
  /** What is guarded, for messages: `Seats.sell`. */
  readonly site: string;
  readonly keys: () => Keys;
  readonly options: GuardOptions;
  readonly atMostMs?: number | undefined;
  readonly body: (lease: Lease) => unknown;
  /** What to answer for a key that is busy; throws, or returns the answer. */
  readonly whenBusy: (error: LockTimeoutError) => unknown;
  /** Whether that answer is nothing at all, so that only an event tells of the refusal. */
  readonly skips: boolean;
}

interface SplitOptions {
  readonly options: GuardOptions;
  readonly onBusy: OnBusy | undefined;
  readonly locks: string | undefined;
  readonly atMostMs: number | undefined;
}

/** Lets any module default pass the checks that can only be made at the call. */
const ANY_DEFAULTS = { ttlMs: 86_400_000, waitMs: 0 };

/**
 * Checks the options where they are written down, and takes apart those of the lock and those of the call.
 *
 * @param key a template, several, or a function: what the keys have in common, unless the options say so
 * @throws LockConfigurationError that names the site
 */
export function splitOptions(site: string, options: LockedOptions, key: unknown): SplitOptions {
  if (typeof options !== 'object' || options === null) {
    throw new LockConfigurationError(
      `The options of the lock on ${site} are ${show(options)}; give an object like { wait: '2s' }.`,
    );
  }
  const { onBusy, locks, atMost, ...rest } = options;
  let atMostMs: number | undefined;
  try {
    termsOf(rest, ANY_DEFAULTS);
    if (atMost !== undefined) atMostMs = durationMs('atMost', atMost, AT_MOST);
  } catch (error) {
    if (!(error instanceof LockConfigurationError)) throw error;
    throw new LockConfigurationError(`The lock on ${site} is set up wrongly: ${error.message}`, {
      cause: error,
    });
  }
  if (onBusy !== undefined && onBusy !== 'throw' && onBusy !== 'skip' && typeof onBusy !== 'function') {
    throw new LockConfigurationError(
      `onBusy of the lock on ${site} is ${show(onBusy)}; give 'throw', 'skip' or a function.`,
    );
  }
  return { options: { pattern: patternOf(key, site), ...rest }, onBusy, locks, atMostMs };
}

/** Of several templates all: none of their keys is acquired without the others. */
function patternOf(key: unknown, site: string): string {
  const texts = [key].flat().filter((part) => typeof part === 'string');
  return texts.join(', ').slice(0, LONGEST_PATTERN) || site;
}

/** Carries out what `onBusy` says. */
export function answerBusy(onBusy: OnBusy, error: LockTimeoutError, args: readonly unknown[]): unknown {
  if (onBusy === 'throw') throw error;
  return onBusy === 'skip' ? undefined : onBusy({ error, args });
}
