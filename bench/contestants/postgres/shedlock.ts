import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { untilGranted, type OpenLocks } from '../contestant.js';
import './count.js';

const TABLE = `CREATE TABLE IF NOT EXISTS shedlock (
  name varchar(64) PRIMARY KEY, lock_until timestamp NOT NULL, locked_at timestamp NOT NULL, locked_by varchar(255) NOT NULL
)`;
const NOW = "timezone('utc', current_timestamp)";
const END = `${NOW} + make_interval(secs => $3)`;

const LOCK = {
  name: 'shedlock_lock',
  text: `INSERT INTO shedlock AS s (name, lock_until, locked_at, locked_by) VALUES ($1, ${END}, ${NOW}, $2)
    ON CONFLICT (name) DO UPDATE SET lock_until = ${END}, locked_at = ${NOW}, locked_by = $2 WHERE s.lock_until <= ${NOW}`,
};
const UNLOCK = {
  name: 'shedlock_unlock',
  text: `UPDATE shedlock SET lock_until = ${NOW} WHERE name = $1 AND locked_by = $2`,
};

/** What ShedLock has a database do, by its own clock; here somebody waits for it, which it does not do. */
export const openShedlock: OpenLocks = async (url, ttlMs) => {
  const pool = new pg.Pool({ connectionString: url });
  await pool.query(TABLE);
  return {
    async acquire(key) {
      const by = randomUUID();
      const values = [key, by, ttlMs / 1000];
      await untilGranted(async () => (await pool.query({ ...LOCK, values })).rowCount === 1);
      return async () => (await pool.query({ ...UNLOCK, values: [key, by] })).rowCount === 1;
    },
    close: () => pool.end(),
  };
};
