import { LockFactory } from '@verrou/core';
import { redisStore } from '@verrou/core/drivers/redis';
import { Redis } from 'ioredis';
import { RETRY_MS, TTL_MS, type Contestant } from './contestant.js';

export const verrou: Contestant = {
  name: 'verrou',
  open(url) {
    const client = new Redis(url);
    const locks = new LockFactory(redisStore({ connection: client }).factory(), {
      retry: { delay: RETRY_MS },
    });
    return Promise.resolve({
      async acquire(key) {
        const lock = locks.createLock(key, TTL_MS);
        await lock.acquire();
        return () => lock.release();
      },
      async close() {
        await client.quit();
      },
    });
  },
};
