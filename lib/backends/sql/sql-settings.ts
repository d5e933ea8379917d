import { durationMs, type Duration } from '../../core/duration.js';
import { LockConfigurationError, show } from '../../core/errors.js';

/** What locks in a database mean, and where they are kept. */
export interface SqlLockSettings {
  /** What the names of the tables begin with. Default 'interlock'. */
  readonly name?: string;
  /**
   * Whether missing tables are made at the start; any number of processes may do so at once. When false, run the
   * migration before. Default true.
   */
  readonly create?: boolean;
  /**
   * How long a key stays closed after the death of a holder, for resources that cannot check a fence: when its lease
   * runs out, not when it is released. Default 0.
   */
  readonly lockDelay?: Duration;
}

const DELAY = { minMs: 0, maxMs: 3_600_000 };

/** @throws LockConfigurationError */
export function lockDelayMsOf({ lockDelay = 0 }: SqlLockSettings): number {
  return durationMs('lockDelay', lockDelay, DELAY);
}

/** @throws LockConfigurationError */
export function createOf({ create = true }: SqlLockSettings): boolean {
  if (typeof create === 'boolean') return create;
  throw new LockConfigurationError(
    `create is ${show(create)}; give true to have missing tables made, or false.`,
  );
}

/** The given options without those of these names: what is left for the client. */
export function without(names: ReadonlySet<string>, given: object = {}): Record<string, unknown> {
  return Object.fromEntries(Object.entries(given).filter(([name]) => !names.has(name)));
}
