import { Redis } from 'ioredis';
import Redlock from 'redlock';
import { RETRY_MS, TTL_MS, type Contestant } from './contestant.js';

export const redlock: Contestant = {
  name: 'redlock',
  open(url) {
    const client = new Redis(url);
    const locks = new Redlock([client], {
      retryCount: -1,
      retryDelay: RETRY_MS,
      retryJitter: RETRY_MS / 2,
    });
    return Promise.resolve({
      async acquire(key) {
        const lock = await locks.acquire([key], TTL_MS);
        return () => lock.release();
      },
      close: () => locks.quit(),
    });
  },
};
