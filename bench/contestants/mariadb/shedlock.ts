import { randomUUID } from 'node:crypto';
import { createPool, type ResultSetHeader } from 'mysql2/promise';
import { untilGranted, type OpenLocks } from '../contestant.js';
import './count.js';

const TABLE = `CREATE TABLE IF NOT EXISTS shedlock (
  name VARCHAR(64) NOT NULL, lock_until TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  locked_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), locked_by VARCHAR(255) NOT NULL, PRIMARY KEY (name)
)`;
const NOW = 'UTC_TIMESTAMP(3)';
const END = `TIMESTAMPADD(MICROSECOND, ?, ${NOW})`;

const INSERT = `INSERT IGNORE INTO shedlock (name, lock_until, locked_at, locked_by) VALUES (?, ${END}, ${NOW}, ?)`;
const UPDATE = `UPDATE shedlock SET lock_until = ${END}, locked_at = ${NOW}, locked_by = ? WHERE name = ? AND lock_until <= ${NOW}`;
const UNLOCK = `UPDATE shedlock SET lock_until = ${NOW} WHERE name = ? AND locked_by = ?`;

/**
 * What ShedLock has a database do, by its own clock: one statement for a row that is there, and another one to make it.
 * Here somebody waits for it, which it does not do.
 */
export const openShedlock: OpenLocks = async (url, ttlMs) => {
  const pool = createPool(url);
  await pool.query(TABLE);
  const known = new Set<string>();
  const changes = async (sql: string, values: (string | number)[]): Promise<boolean> => {
    const [{ affectedRows }] = await pool.execute<ResultSetHeader>(sql, values);
    return affectedRows > 0;
  };
  const ask = async (key: string, by: string): Promise<boolean> => {
    if (!known.has(key)) {
      const isNew = await changes(INSERT, [key, ttlMs * 1000, by]);
      known.add(key);
      if (isNew) return true;
    }
    return changes(UPDATE, [ttlMs * 1000, by, key]);
  };
  return {
    async acquire(key) {
      const by = randomUUID();
      await untilGranted(() => ask(key, by));
      return () => changes(UNLOCK, [key, by]);
    },
    close: () => pool.end(),
  };
};
