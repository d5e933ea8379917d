import { randomUUID } from 'node:crypto';
import { createPool, type ResultSetHeader } from 'mysql2/promise';
import { untilGranted, type OpenLocks } from '../contestant.js';
import './count.js';

const TEXT = 'CHARACTER SET ascii COLLATE ascii_bin NOT NULL';
const TABLE = `CREATE TABLE IF NOT EXISTS bare (
  name VARCHAR(512) ${TEXT} PRIMARY KEY, owner VARCHAR(128) ${TEXT}, held_until DATETIME(6) NOT NULL
) ENGINE = InnoDB`;

/** Sets one column after the other: the owner is the new one only where the lock was free. */
const CLAIM = `INSERT INTO bare (name, owner, held_until) VALUES (?, ?, UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND)
  ON DUPLICATE KEY UPDATE owner = IF(held_until <= UTC_TIMESTAMP(6), VALUES(owner), owner),
    held_until = IF(owner = VALUES(owner), VALUES(held_until), held_until)`;
const RELEASE = `UPDATE bare SET held_until = '1970-01-01' WHERE name = ? AND owner = ?`;

/** A guarded upsert and a guarded update, prepared; time is the server's. */
export const openBare: OpenLocks = async (url, ttlMs) => {
  // counts rows that were changed, not those that were found: that tells whether it was granted
  const pool = createPool({ uri: url, flags: ['-FOUND_ROWS'] });
  await pool.query(TABLE);
  const changes = async (sql: string, values: (string | number)[]): Promise<boolean> => {
    const [{ affectedRows }] = await pool.execute<ResultSetHeader>(sql, values);
    return affectedRows > 0;
  };
  return {
    async acquire(key) {
      const owner = randomUUID();
      await untilGranted(() => changes(CLAIM, [key, owner, ttlMs * 1000]));
      return () => changes(RELEASE, [key, owner]);
    },
    close: () => pool.end(),
  };
};
