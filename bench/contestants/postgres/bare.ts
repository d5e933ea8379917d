import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { untilGranted, type OpenLocks } from '../contestant.js';
import './count.js';

const TABLE = `CREATE TABLE IF NOT EXISTS bare (
  key text COLLATE "C" PRIMARY KEY, owner text COLLATE "C" NOT NULL, held_until timestamptz NOT NULL
) WITH (fillfactor = 50)`;

const CLAIM = {
  name: 'bare_claim',
  text: `INSERT INTO bare AS b (key, owner, held_until) VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond')
    ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, held_until = excluded.held_until
    WHERE b.held_until <= clock_timestamp()`,
};
/** The row stays: to delete it, and to insert it again, was seen to cost as much. */
const RELEASE = {
  name: 'bare_release',
  text: `UPDATE bare SET held_until = '-infinity' WHERE key = $1 AND owner = $2`,
};

/** A guarded upsert and a guarded update, prepared; time is the server's. */
export const openBare: OpenLocks = async (url, ttlMs) => {
  const pool = new pg.Pool({ connectionString: url });
  await pool.query(TABLE);
  return {
    async acquire(key) {
      const owner = randomUUID();
      await untilGranted(
        async () => (await pool.query({ ...CLAIM, values: [key, owner, ttlMs] })).rowCount === 1,
      );
      return async () => (await pool.query({ ...RELEASE, values: [key, owner] })).rowCount === 1;
    },
    close: () => pool.end(),
  };
};
