import { canonicalKey, checkPrefix } from '../../core/key.js';
import type { GuardedLease, GuardSettings } from '../sql/guarded-lease.js';
import { postgresNames } from './postgres-names.js';

/** Where the lease's lock is kept. */
export interface PostgresGuardSettings extends GuardSettings {
  /** As given to `postgres()`. Default 'public'. */
  readonly schema?: string;
}

/**
 * A condition for a statement of yours in the database that keeps the locks: it holds as long as the lease does, by the
 * database's own clock. A stale holder's `UPDATE … WHERE … AND <condition>` changes nothing. In a transaction it does
 * more: nobody else gets the lock until the transaction has ended, so what it reads under the guard is not changed by
 * the next holder meanwhile. Renewals wait as well, so end the transaction well within the ttl, and before the release.
 *
 * It is plain text without placeholders, `?` or `:`, so that any query builder takes it as it is.
 *
 * @param lease a lease on one key, or its key and fence
 * @throws LockKeyError, LockConfigurationError when the key or a name is none
 *
 * @example
 * await client.query(`UPDATE orders SET state = 'paid' WHERE id = $1 AND ${fenceGuard(lease)}`, [id]);
 */
export function fenceGuard(lease: GuardedLease, settings: PostgresGuardSettings = {}): string {
  const { lock, holder } = postgresNames(settings.schema, settings.name);
  const key = canonicalKey(checkPrefix(settings.prefix ?? 'interlock'), lease.key);
  const mine = `key = (${literal(key)}) COLLATE "C" AND fence = ${BigInt(lease.fence)} AND NOT lingers AND lease_until > clock_timestamp()`;
  return (
    `(EXISTS (SELECT 1 FROM ${lock} WHERE ${mine} AND owner IS NOT NULL FOR SHARE)` +
    ` OR EXISTS (SELECT 1 FROM ${holder} WHERE ${mine} FOR SHARE))`
  );
}

/** Of a key's few characters. A colon would be taken for the beginning of a parameter by some. */
function literal(key: string): string {
  return key
    .split(':')
    .map((part) => `'${part}'`)
    .join(' || chr(58) || ');
}
