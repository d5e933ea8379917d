import { LockService } from 'nestjs-interlock';
import { redis } from 'nestjs-interlock/redis';
import { TTL_MS, type Contestant } from './contestant.js';

/** Without Nest around it, but through the service that Nest hands out. */
export const interlock: Contestant = {
  name: 'interlock',
  async open(url) {
    const locks = new LockService(redis(url), { ttl: TTL_MS, wait: Infinity });
    await locks.start();
    return {
      async acquire(key) {
        const lease = await locks.acquire(key);
        return () => lease.release();
      },
      close: () => locks.stop(),
    };
  },
};
