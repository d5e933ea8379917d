import { createPool, type RowDataPacket } from 'mysql2/promise';
import type { OpenLocks } from '../contestant.js';
import './count.js';

const A_DAY_S = 86_400;

/** The lock of a session: who holds it, or waits for it, keeps a connection. It has no ttl. */
export const openGetLock: OpenLocks = (url) => {
  const pool = createPool(url);
  return Promise.resolve({
    async acquire(key) {
      const session = await pool.getConnection();
      const ask = async (sql: string, values: (string | number)[]): Promise<boolean> => {
        const [[row]] = await session.execute<RowDataPacket[]>(sql, values);
        return row?.['answer'] === 1;
      };
      if (!(await ask('SELECT GET_LOCK(?, ?) AS answer', [key, A_DAY_S])))
        throw new Error('GET_LOCK was refused.');
      return async () => {
        const wasHeld = await ask('SELECT RELEASE_LOCK(?) AS answer', [key]);
        session.release();
        return wasHeld;
      };
    },
    close: () => pool.end(),
  });
};
