import pg from 'pg';
import type { OpenLocks } from '../contestant.js';
import './count.js';

const LOCK = { name: 'advisory_lock', text: 'SELECT pg_advisory_lock(hashtextextended($1, 0))' };
const UNLOCK = {
  name: 'advisory_unlock',
  text: 'SELECT pg_advisory_unlock(hashtextextended($1, 0)) AS was_held',
};

/** The lock of a session: who holds it, or waits for it, keeps a connection. It has no ttl. */
export const openAdvisory: OpenLocks = (url) => {
  const pool = new pg.Pool({ connectionString: url });
  return Promise.resolve({
    async acquire(key) {
      const session = await pool.connect();
      await session.query({ ...LOCK, values: [key] });
      return async () => {
        const { rows } = await session.query<{ was_held: boolean }>({ ...UNLOCK, values: [key] });
        session.release();
        return rows[0]?.was_held === true;
      };
    },
    close: () => pool.end(),
  });
};
