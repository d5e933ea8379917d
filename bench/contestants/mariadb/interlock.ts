import { LockService } from 'nestjs-interlock';
import { mysql } from 'nestjs-interlock/mysql';
import type { OpenLocks } from '../contestant.js';
import './count.js';

export const openInterlock: OpenLocks = async (url, ttlMs) => {
  const locks = new LockService(mysql(url), { ttl: ttlMs, wait: Infinity });
  await locks.start();
  return {
    async acquire(key) {
      const lease = await locks.acquire(key);
      return () => lease.release();
    },
    close: () => locks.stop(),
  };
};
