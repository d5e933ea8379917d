import { lockDelayMsOf } from '../lock-settings.js';
import { createOf, type SqlLockSettings } from '../sql/sql-settings.js';
import { postgresNames, type PostgresNames } from './postgres-names.js';

/** What locks in a PostgreSQL database mean, and where they are kept. */
export interface PostgresLockSettings extends SqlLockSettings {
  /** The schema of the tables; it has to exist. Default 'public'. */
  readonly schema?: string;
}

export interface ResolvedPostgresSettings {
  readonly names: PostgresNames;
  readonly create: boolean;
  readonly lockDelayMs: number;
}

/** @throws LockConfigurationError that says which setting is wrong, and how */
export function lockSettingsOf(given: PostgresLockSettings = {}): ResolvedPostgresSettings {
  return {
    names: postgresNames(given.schema, given.name),
    create: createOf(given),
    lockDelayMs: lockDelayMsOf(given),
  };
}
