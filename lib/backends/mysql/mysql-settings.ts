import { lockDelayMsOf } from '../lock-settings.js';
import { createOf, type SqlLockSettings } from '../sql/sql-settings.js';
import { mysqlNames, type MysqlNames } from './mysql-names.js';

/** What locks in a MySQL or MariaDB database mean, and where they are kept. */
export interface MysqlLockSettings extends SqlLockSettings {
  /** The database of the tables; it has to exist. Default: that of the connection. */
  readonly schema?: string;
}

export interface ResolvedMysqlSettings {
  readonly names: MysqlNames;
  readonly create: boolean;
  readonly lockDelayMs: number;
}

/** @throws LockConfigurationError that says which setting is wrong, and how */
export function lockSettingsOf(given: MysqlLockSettings = {}): ResolvedMysqlSettings {
  return {
    names: mysqlNames(given.schema, given.name),
    create: createOf(given),
    lockDelayMs: lockDelayMsOf(given),
  };
}
