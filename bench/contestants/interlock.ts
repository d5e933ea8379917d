import { redis } from '../../lib/backends/redis/index.js';
import { Locks } from '../../lib/core/locks.js';
import { TTL_MS, type Contestant } from './contestant.js';

export const interlock: Contestant = {
  name: 'interlock',
  ours: true,
  async open(url) {
    const locks = new Locks(redis(url), { ttl: TTL_MS, wait: Infinity });
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
