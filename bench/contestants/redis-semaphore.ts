import { Redis } from 'ioredis';
import { Mutex } from 'redis-semaphore';
import type { OpenLocks } from './contestant.js';

export const openRedisSemaphore: OpenLocks = (url, ttlMs) => {
  const client = new Redis(url);
  return Promise.resolve({
    async acquire(key) {
      let held = true;
      const onLockLost = (): void => {
        held = false;
      };
      const mutex = new Mutex(client, key, { lockTimeout: ttlMs, acquireTimeout: Infinity, onLockLost });
      await mutex.acquire();
      return async () => {
        await mutex.release();
        return held;
      };
    },
    close: () => client.quit(),
  });
};
