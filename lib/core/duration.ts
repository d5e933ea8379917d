import { LockConfigurationError, show } from './errors.js';

type Unit =
  | 'ms'
  | 'msec'
  | 'msecs'
  | 'millisecond'
  | 'milliseconds'
  | 's'
  | 'sec'
  | 'secs'
  | 'second'
  | 'seconds'
  | 'm'
  | 'min'
  | 'mins'
  | 'minute'
  | 'minutes'
  | 'h'
  | 'hr'
  | 'hrs'
  | 'hour'
  | 'hours'
  | 'd'
  | 'day'
  | 'days'
  | 'w'
  | 'week'
  | 'weeks';

/** Whole milliseconds, or a number with a unit in the syntax of the `ms` package: `'30s'`, `'1.5 hours'`. */
export type Duration = number | `${number}` | `${number}${Unit}` | `${number} ${Unit}`;

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

const SYNTAX =
  /^(-?\d*\.?\d+) *(ms|msecs?|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)?$/i;

export interface DurationLimits {
  readonly minMs: number;
  readonly maxMs: number;
  /** Whether `Infinity`, without end, is meant to be possible. */
  readonly endless?: boolean;
}

/**
 * @param option how the caller knows the value, for the message
 * @returns whole milliseconds within the limits
 * @throws LockConfigurationError otherwise
 */
export function durationMs(option: string, value: unknown, limits: DurationLimits): number {
  const ms = typeof value === 'string' ? parse(value) : value;
  if (typeof ms !== 'number' || Number.isNaN(ms)) {
    throw new LockConfigurationError(
      `${option} is ${show(value)}; give milliseconds as a number, or a text like '30s' or '5 minutes'.`,
    );
  }
  if (ms === Infinity && limits.endless) return ms;
  if (!Number.isInteger(ms)) {
    throw new LockConfigurationError(`${option} is ${show(value)}; give a whole number of milliseconds.`);
  }
  if (ms < limits.minMs || ms > limits.maxMs) {
    const end = limits.endless ? ', or Infinity' : '';
    throw new LockConfigurationError(
      `${option} is ${show(value)}; it must be between ${limits.minMs} ms and ${limits.maxMs} ms${end}.`,
    );
  }
  return ms;
}

function parse(text: string): number {
  const match = text.length > 100 ? null : SYNTAX.exec(text.trim());
  if (!match) return NaN;
  const unit = (match[2] ?? 'ms').toLowerCase();
  const perUnit = unit.startsWith('ms') || unit.startsWith('milli') ? 1 : (UNIT_MS[unit.charAt(0)] ?? NaN);
  const ms = Number(match[1]) * perUnit;
  // '1.1s' is 1100.0000000000002 in floating point, and means 1100
  return Math.abs(ms - Math.round(ms)) < 1e-6 ? Math.round(ms) : ms;
}
