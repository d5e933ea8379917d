import { canonicalKey, checkPrefix } from '../../core/key.js';
import type { GuardedLease, GuardSettings } from '../sql/guarded-lease.js';
import { mysqlNames } from './mysql-names.js';

/** Where the lease's lock is kept. */
export interface MysqlGuardSettings extends GuardSettings {
  /** As given to `mysql()`. Default: the database of the connection. */
  readonly schema?: string;
}

/**
 * A condition for a statement of yours in the database that keeps the locks: it holds as long as the lease does, by the
 * database's own clock. A stale holder's `UPDATE … WHERE … AND <condition>` changes nothing. In a transaction it does
 * more: nobody else gets the lock until the transaction has ended. Renewals wait as well, so end the transaction well
 * within the ttl, and before the release.
 *
 * It is plain text without placeholders, `?` or `:`, so that any query builder takes it as it is.
 *
 * @param lease a lease on one key, or its key and fence
 * @throws LockKeyError, LockConfigurationError when the key or a name is none
 *
 * @example
 * await connection.execute(`UPDATE orders SET state = 'paid' WHERE id = ? AND ${fenceGuard(lease)}`, [id]);
 */
export function fenceGuard(lease: GuardedLease, settings: MysqlGuardSettings = {}): string {
  const { lock, holder } = mysqlNames(settings.schema, settings.name);
  const key = canonicalKey(checkPrefix(settings.prefix ?? 'interlock'), lease.key);
  const literal = `CONVERT(x'${Buffer.from(key, 'ascii').toString('hex')}' USING ascii) COLLATE ascii_bin`;
  const now = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))";
  const mine = `\`key\` = ${literal} AND fence = ${BigInt(lease.fence)} AND lingers = 0 AND lease_until > ${now}`;
  return (
    `(EXISTS (SELECT 1 FROM ${lock} WHERE ${mine} AND owner IS NOT NULL LOCK IN SHARE MODE)` +
    ` OR EXISTS (SELECT 1 FROM ${holder} WHERE ${mine} LOCK IN SHARE MODE))`
  );
}
