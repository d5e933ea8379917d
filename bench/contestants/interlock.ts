import { LockService } from 'nestjs-interlock';
import { redis } from 'nestjs-interlock/redis';
import type { OpenLocks } from './contestant.js';

/** Without Nest around it, but through the service that Nest hands out. */
export const openInterlock: OpenLocks = async (url, ttlMs) => {
  const locks = new LockService(redis(url), { ttl: ttlMs, wait: Infinity });
  await locks.start();
  return {
    async acquire(key) {
      const lease = await locks.acquire(key);
      return () => lease.release();
    },
    close: () => locks.stop(),
  };
};
