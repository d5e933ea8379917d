import type { LockBackend } from '../lock-backend.js';
import { SqlBackend } from '../sql/sql-backend.js';
import { migrationOf } from './migration.js';
import { isPool, type PostgresOptions, type PostgresPool } from './postgres-client.js';
import { postgresNames } from './postgres-names.js';
import { PostgresSession, type PostgresTarget } from './postgres-session.js';
import { withoutLockSettings } from '../sql/sql-settings.js';
import { lockSettingsOf, type PostgresLockSettings } from './postgres-settings.js';

export { fenceGuard, type PostgresGuardSettings } from './fence-guard.js';
export type {
  PostgresConnection,
  PostgresOptions,
  PostgresPool,
  PostgresPoolClient,
  PostgresQuery,
} from './postgres-client.js';
export type { PostgresLockSettings } from './postgres-settings.js';
export type { GuardedLease } from '../sql/guarded-lease.js';

/**
 * Locks in a PostgreSQL database, version 12 or newer. Needs the package `pg`, version 8.
 *
 * @param url where the database is; default: as pg finds it, by `PGHOST` and its like
 * @param options for the client, on top of the URL, and what the locks mean: `schema`, `name`, `create`, `lockDelay`
 *
 * @example
 * LockModule.forRoot({ backend: postgres('postgres://app@localhost/shop') })
 */
export function postgres(url: string, options?: PostgresOptions): LockBackend;
/** @param options where the database is, and anything else that pg understands */
export function postgres(options?: PostgresOptions): LockBackend;
/** @param pool a pool of the application's own; it stays open when the locks are closed */
export function postgres(pool: PostgresPool, settings?: PostgresLockSettings): LockBackend;
export function postgres(
  target?: string | PostgresOptions | PostgresPool,
  more?: PostgresOptions | PostgresLockSettings,
): LockBackend {
  if (isPool(target)) return backendOf({ pool: target }, more);
  const given = typeof target === 'string' ? more : target;
  const url = typeof target === 'string' ? target : undefined;
  return backendOf({ url, options: withoutLockSettings(given) }, given);
}

function backendOf(target: PostgresTarget, given: PostgresLockSettings | undefined): LockBackend {
  const settings = lockSettingsOf(given);
  const { lockDelayMs } = settings;
  return new SqlBackend({ name: 'postgres', wakeUp: 'queue', pollMs: 300, lockDelayMs }, (context) =>
    PostgresSession.open(target, settings, context),
  );
}

/**
 * The SQL that makes the tables and functions of the locks, for a migration of yours; harmless where they are already.
 *
 * @param settings `schema` (default 'public') and `name` (default 'interlock')
 * @throws LockConfigurationError when a name is none
 */
export function migration(settings: Pick<PostgresLockSettings, 'schema' | 'name'> = {}): string {
  return `${migrationOf(postgresNames(settings.schema, settings.name))}\n`;
}
