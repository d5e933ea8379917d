import { LockService, type LockBackend } from 'nestjs-interlock';
import type { OpenLocks } from './contestant.js';

/** Without Nest around it, but through the service that Nest hands out. */
export function through(backendAt: (url: string) => LockBackend): OpenLocks {
  return async (url, ttlMs) => {
    const locks = new LockService(backendAt(url), { ttl: ttlMs, wait: Infinity });
    await locks.start();
    return {
      async acquire(key) {
        const lease = await locks.acquire(key);
        return () => lease.release();
      },
      close: () => locks.stop(),
    };
  };
}
