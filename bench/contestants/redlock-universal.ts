import { Redis } from 'ioredis';
import { createLock, IoredisAdapter, type Lock } from 'redlock-universal';
import { holdBy, RETRY_MS, type OpenLocks } from './contestant.js';

/** Without its circuit breaker, which would send a PING for each lock. */
export const openRedlockUniversal: OpenLocks = (url, ttlMs) => {
  const client = new Redis(url);
  const adapter = new IoredisAdapter(client);
  const lockOf = (key: string): Lock =>
    createLock({
      adapter,
      key,
      ttl: ttlMs,
      retryAttempts: Number.MAX_SAFE_INTEGER,
      retryDelay: RETRY_MS,
      circuitBreaker: false,
    });
  return Promise.resolve({
    async acquire(key) {
      const lock = lockOf(key);
      const handle = await lock.acquire();
      return () => lock.release(handle);
    },
    hold: (key) => holdBy((callback) => lockOf(key).using((signal) => callback(() => !signal.aborted))),
    close: () => client.quit(),
  });
};
