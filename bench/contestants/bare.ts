import { createHash, randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { untilGranted, type OpenLocks } from './contestant.js';

const COMPARE_AND_DELETE = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0`;
const SHA = createHash('sha1').update(COMPARE_AND_DELETE).digest('hex');

/** SET NX PX, and a script that deletes what is still ours. */
export const openBare: OpenLocks = async (url, ttlMs) => {
  const client = new Redis(url);
  await client.script('LOAD', COMPARE_AND_DELETE);
  return {
    async acquire(key) {
      const token = randomUUID();
      await untilGranted(async () => (await client.set(key, token, 'PX', ttlMs, 'NX')) !== null);
      return () => client.evalsha(SHA, 1, key, token);
    },
    close: () => client.quit(),
  };
};
