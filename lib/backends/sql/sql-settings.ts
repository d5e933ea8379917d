import type { Duration } from '../../core/duration.js';
import { LockConfigurationError, show } from '../../core/errors.js';
import { without } from '../lock-settings.js';

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
   * runs out, not when it is released. At most an hour. Default 0.
   */
  readonly lockDelay?: Duration;
}

const OURS: ReadonlySet<string> = new Set(['schema', 'name', 'create', 'lockDelay']);

/** @throws LockConfigurationError */
export function createOf({ create = true }: SqlLockSettings): boolean {
  if (typeof create === 'boolean') return create;
  throw new LockConfigurationError(
    `create is ${show(create)}; give true to have missing tables made, or false.`,
  );
}

/** What is left of the options for the client. */
export function withoutLockSettings(given?: object): Record<string, unknown> {
  return without(OURS, given);
}
