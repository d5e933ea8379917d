import { LockService } from 'nestjs-interlock';
import { postgres } from 'nestjs-interlock/postgres';
import type { OpenLocks } from '../contestant.js';
import './count.js';

export const openInterlock: OpenLocks = async (url, ttlMs) => {
  const locks = new LockService(postgres(url), { ttl: ttlMs, wait: Infinity });
  await locks.start();
  return {
    async acquire(key) {
      const lease = await locks.acquire(key);
      return () => lease.release();
    },
    close: () => locks.stop(),
  };
};
