import { LockFactory } from '@verrou/core';
import { redisStore } from '@verrou/core/drivers/redis';
import { Redis } from 'ioredis';
import { RETRY_MS, type OpenLocks } from './contestant.js';

export const openVerrou: OpenLocks = (url, ttlMs) => {
  const client = new Redis(url);
  const locks = new LockFactory(redisStore({ connection: client }).factory(), {
    retry: { delay: RETRY_MS },
  });
  return Promise.resolve({
    async acquire(key) {
      const lock = locks.createLock(key, ttlMs);
      await lock.acquire();
      return () => lock.release();
    },
    close: () => client.quit(),
  });
};
