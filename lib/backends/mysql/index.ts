import type { LockBackend } from '../lock-backend.js';
import { SqlBackend } from '../sql/sql-backend.js';
import { migrationOf, scriptOf } from './migration.js';
import {
  isPool,
  promising,
  type MysqlCallbackPool,
  type MysqlOptions,
  type MysqlPool,
} from './mysql-client.js';
import { mysqlNames } from './mysql-names.js';
import { MysqlSession, type MysqlTarget } from './mysql-session.js';
import { withoutLockSettings } from '../sql/sql-settings.js';
import { lockSettingsOf, type MysqlLockSettings } from './mysql-settings.js';

export { fenceGuard, type MysqlGuardSettings } from './fence-guard.js';
export type {
  MysqlCallbackPool,
  MysqlConnection,
  MysqlOptions,
  MysqlPool,
  MysqlQuery,
} from './mysql-client.js';
export type { MysqlLockSettings } from './mysql-settings.js';
export type { GuardedLease } from '../sql/guarded-lease.js';

/**
 * Locks in a MySQL database, version 8.0.29 or newer, or a MariaDB database, version 10.6 or newer. Needs the package
 * `mysql2`, version 3.
 *
 * @param url where the database is, as in `mysql://app:secret@localhost/shop`
 * @param options for the client, on top of the URL, and what the locks mean: `schema`, `name`, `create`, `lockDelay`
 *
 * @example
 * LockModule.forRoot({ backend: mysql('mysql://app@localhost/shop') })
 */
export function mysql(url: string, options?: MysqlOptions): LockBackend;
/** @param options where the database is, and anything else that mysql2 understands */
export function mysql(options?: MysqlOptions): LockBackend;
/** @param pool a pool of the application's own; it stays open when the locks are closed */
export function mysql(pool: MysqlPool | MysqlCallbackPool, settings?: MysqlLockSettings): LockBackend;
export function mysql(
  target?: string | MysqlOptions | MysqlPool | MysqlCallbackPool,
  more?: MysqlOptions | MysqlLockSettings,
): LockBackend {
  if (isPool(target)) return backendOf({ pool: promising(target) }, more);
  const given = typeof target === 'string' ? more : target;
  const url = typeof target === 'string' ? target : undefined;
  return backendOf({ url, options: withoutLockSettings(given) }, given);
}

function backendOf(target: MysqlTarget, given: MysqlLockSettings | undefined): LockBackend {
  const settings = lockSettingsOf(given);
  const { lockDelayMs } = settings;
  return new SqlBackend({ name: 'mysql', wakeUp: 'queue', pollMs: 300, lockDelayMs }, (context) =>
    MysqlSession.open(target, settings, context),
  );
}

/**
 * The SQL that makes the tables and procedures of the locks, for the command line client (`mysql`, `mariadb`); harmless
 * where they are already.
 *
 * @param settings `schema` (default: the database of the connection) and `name` (default 'interlock')
 * @throws LockConfigurationError when a name is none
 */
export function migration(settings: Pick<MysqlLockSettings, 'schema' | 'name'> = {}): string {
  return scriptOf(migrationStatements(settings));
}

/**
 * The same as single statements, for a migration that runs in a program.
 *
 * @throws LockConfigurationError when a name is none
 */
export function migrationStatements(
  settings: Pick<MysqlLockSettings, 'schema' | 'name'> = {},
): readonly string[] {
  return migrationOf(mysqlNames(settings.schema, settings.name));
}
