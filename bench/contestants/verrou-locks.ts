import { LockFactory } from '@verrou/core';
import type { LockStore } from '@verrou/core/types';
import { RETRY_MS, type LockInstance } from './contestant.js';

/** Locks of verrou, wherever they are stored. */
export function verrouLocks(store: LockStore, ttlMs: number, close: () => Promise<unknown>): LockInstance {
  const locks = new LockFactory(store, { retry: { delay: RETRY_MS } });
  return {
    async acquire(key) {
      const lock = locks.createLock(key, ttlMs);
      await lock.acquire();
      return () => lock.release();
    },
    close,
  };
}
