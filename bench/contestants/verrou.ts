import { redisStore } from '@verrou/core/drivers/redis';
import { Redis } from 'ioredis';
import type { OpenLocks } from './contestant.js';
import { verrouLocks } from './verrou-locks.js';

export const openVerrou: OpenLocks = (url, ttlMs) => {
  const client = new Redis(url);
  const store = redisStore({ connection: client }).factory();
  return Promise.resolve(verrouLocks(store, ttlMs, () => client.quit()));
};
