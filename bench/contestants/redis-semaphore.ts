import { Redis } from 'ioredis';
import { Mutex } from 'redis-semaphore';
import { TTL_MS, type Contestant } from './contestant.js';

export const redisSemaphore: Contestant = {
  name: 'redis-semaphore',
  open(url) {
    const client = new Redis(url);
    return Promise.resolve({
      async acquire(key) {
        const mutex = new Mutex(client, key, { lockTimeout: TTL_MS, acquireTimeout: Infinity });
        await mutex.acquire();
        return () => mutex.release();
      },
      async close() {
        await client.quit();
      },
    });
  },
};
