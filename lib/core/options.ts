import type { LockMode } from '../backends/lock-backend.js';
import { durationMs, type Duration, type DurationLimits } from './duration.js';
import { LockConfigurationError, show } from './errors.js';

const DAY_MS = 86_400_000;
const TTL: DurationLimits = { minMs: 20, maxMs: DAY_MS };
const WAIT: DurationLimits = { minMs: 0, maxMs: 30 * DAY_MS, endless: true };
const MIN_HOLD: DurationLimits = { minMs: 0, maxMs: DAY_MS };
const MOST_PERMITS = 1_000_000;
export const LONGEST_PATTERN = 200;

/** The options of an acquisition. */
export interface LockOptions {
  /**
   * How long the server keeps the lock when nothing more is heard of the holder. A living holder renews it
   * every third of that. 20 ms to 24 hours; default: the module's `ttl` ('30s').
   */
  readonly ttl?: Duration;
  /**
   * How long to wait while somebody else holds the key: 0 is one try, `Infinity` is without end.
   * Default: the module's `wait` ('5s').
   */
  readonly wait?: Duration;
  /** Gives up waiting when it aborts. It does not end a lease that was granted. */
  readonly signal?: AbortSignal;
  /** `exclusive` (default): alone. `shared`: together with other shared holders. */
  readonly mode?: 'exclusive' | 'shared';
  /** Makes the key a semaphore with this many permits. All its users should name the same number. */
  readonly permits?: number;
  /** How many of the permits to take, all or nothing. Default 1. */
  readonly take?: number;
  /** Whether the lease is renewed until it is released. Default true; without it, it ends after `ttl`. */
  readonly renew?: boolean;
  /**
   * Keeps the key busy until this long after it was acquired, though the work was done sooner: against
   * replicas whose clocks lag. At most `ttl`. Default 0.
   */
  readonly minHold?: Duration;
  /**
   * Whether an acquisition inside the scope (`using`, `@Locked`) of a lock on the same key shares that lock
   * instead of waiting for itself. Default true.
   */
  readonly reentrant?: boolean;
  /**
   * What the keys of this call have in common, like `'seat:<id>'`: the label of its metrics and spans, so there should
   * be few of them. Default: the template of `@Locked` and of the interceptor, else none.
   */
  readonly pattern?: string;
}

/** The options of `using`, `wrap` and `@Locked`. */
export interface GuardOptions extends LockOptions {
  /**
   * What a loss during the work does to its result. `report` (default): the result stands, and the loss is
   * in `events$` and `lease.signal`. `throw`: a `LockLostError` takes the place of the result.
   */
  readonly onLost?: 'report' | 'throw';
}

/** Options with everything said, and checked. */
export interface Terms {
  readonly ttlMs: number;
  readonly waitMs: number;
  readonly signal: AbortSignal | undefined;
  readonly mode: LockMode;
  readonly take: number;
  readonly of: number;
  readonly renew: boolean;
  readonly minHoldMs: number;
  readonly reentrant: boolean;
  readonly onLost: 'report' | 'throw';
  readonly pattern: string | undefined;
  /** True when it is meant to be held for long: a leadership. */
  readonly lasting?: boolean;
  /** What the owner begins with instead of the identity of the service; at most 93 characters of the seam's. */
  readonly identity?: string;
}

export interface TermDefaults {
  readonly ttlMs: number;
  readonly waitMs: number;
}

const NAMES: ReadonlySet<string> = new Set([
  'ttl',
  'wait',
  'signal',
  'mode',
  'permits',
  'take',
  'renew',
  'minHold',
  'reentrant',
  'pattern',
  'onLost',
]);

/** @throws LockConfigurationError that says which option is wrong, and how */
export function termsOf(options: GuardOptions | undefined, defaults: TermDefaults): Terms {
  const given: GuardOptions = options === undefined ? {} : options;
  refuseUnknown('option', given, NAMES);
  const ttlMs = given.ttl === undefined ? defaults.ttlMs : durationMs('ttl', given.ttl, TTL);
  const minHoldMs = given.minHold === undefined ? 0 : durationMs('minHold', given.minHold, MIN_HOLD);
  if (minHoldMs > ttlMs) {
    throw new LockConfigurationError(
      `minHold (${minHoldMs} ms) is longer than ttl (${ttlMs} ms), so it would not hold if this process died; set ttl to at least minHold.`,
    );
  }
  return {
    ttlMs,
    waitMs: given.wait === undefined ? defaults.waitMs : durationMs('wait', given.wait, WAIT),
    signal: checkSignal(given.signal),
    ...sharing(given),
    renew: flag('renew', given.renew, true),
    minHoldMs,
    reentrant: flag('reentrant', given.reentrant, true),
    pattern: checkPattern(given.pattern),
    onLost: oneOf('onLost', given.onLost, ['report', 'throw']),
  };
}

/** The module's defaults, under the same limits as the options of a call. */
export function defaultTerms(ttl: unknown, wait: unknown): TermDefaults {
  return { ttlMs: durationMs('ttl', ttl, TTL), waitMs: durationMs('wait', wait, WAIT) };
}

export function ttlMsOf(value: unknown): number {
  return durationMs('ttl', value, TTL);
}

export function refuseUnknown(what: string, given: unknown, names: ReadonlySet<string>): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new LockConfigurationError(`The ${what}s are ${show(given)}; give an object like { ttl: '30s' }.`);
  }
  for (const name of Object.keys(given)) {
    if (names.has(name)) continue;
    throw new LockConfigurationError(
      `There is no ${what} ${show(name)}; there are ${[...names].join(', ')}.`,
    );
  }
}

function sharing(given: LockOptions): Pick<Terms, 'mode' | 'take' | 'of'> {
  const mode = oneOf('mode', given.mode, ['exclusive', 'shared']);
  if (given.permits === undefined) {
    if (given.take !== undefined) {
      throw new LockConfigurationError(
        `take is ${show(given.take)}, but permits is not given; say how many permits there are.`,
      );
    }
    return { mode, take: 1, of: mode === 'shared' ? 0 : 1 };
  }
  if (given.mode !== undefined) {
    throw new LockConfigurationError(
      `mode ('${mode}') and permits (${show(given.permits)}) exclude each other; give one of them.`,
    );
  }
  const of = count('permits', given.permits, MOST_PERMITS);
  return { mode: 'permits', take: count('take', given.take ?? 1, of), of };
}

function count(option: string, value: unknown, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new LockConfigurationError(`${option} is ${show(value)}; give a whole number from 1 to ${most}.`);
}

function flag(option: string, value: unknown, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value === 'boolean') return value;
  throw new LockConfigurationError(`${option} is ${show(value)}; give true or false.`);
}

function oneOf<T extends string>(option: string, value: unknown, choices: readonly [T, ...T[]]): T {
  if (value === undefined) return choices[0];
  const choice = choices.find((candidate) => candidate === value);
  if (choice !== undefined) return choice;
  throw new LockConfigurationError(
    `${option} is ${show(value)}; give ${choices.map((c) => `'${c}'`).join(' or ')}.`,
  );
}

function checkSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw new LockConfigurationError(`signal is ${show(signal)}; give an AbortSignal.`);
}

function checkPattern(pattern: unknown): string | undefined {
  if (
    pattern === undefined ||
    (typeof pattern === 'string' && pattern.length > 0 && pattern.length <= LONGEST_PATTERN)
  )
    return pattern;
  throw new LockConfigurationError(
    `pattern is ${show(pattern)}; give a text of 1 to ${LONGEST_PATTERN} characters, like 'seat:<id>'.`,
  );
}
