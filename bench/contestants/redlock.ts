import { Redis } from 'ioredis';
import Redlock from 'redlock';
import { holdBy, RETRY_MS, type OpenLocks } from './contestant.js';

export const openRedlock: OpenLocks = (url, ttlMs) => {
  const locks = new Redlock([new Redis(url)], {
    retryCount: -1,
    retryDelay: RETRY_MS,
    retryJitter: RETRY_MS / 2,
  });
  return Promise.resolve({
    async acquire(key) {
      const lock = await locks.acquire([key], ttlMs);
      return () => lock.release();
    },
    hold: (key) =>
      holdBy((callback) => locks.using([key], ttlMs, (signal) => callback(() => !signal.aborted))),
    close: () => locks.quit(),
  });
};
