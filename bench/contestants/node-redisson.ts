import { Redisson } from 'node-redisson';
import type { OpenLocks } from './contestant.js';

export const openNodeRedisson: OpenLocks = (url, ttlMs) => {
  const { hostname: host, port } = new URL(url);
  const redisson = new Redisson({
    redis: { options: { host, port: Number(port) } },
    lockWatchdogTimeout: BigInt(ttlMs),
  });
  return Promise.resolve({
    async acquire(key) {
      const lock = redisson.getLock(key);
      await lock.lock();
      return () => lock.unlock();
    },
    close: () => redisson.quit(),
  });
};
