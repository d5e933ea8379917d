import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { redis } from 'nestjs-interlock/redis';
import { describeLockBackend } from 'nestjs-interlock/testing';
import { RedisSentinelWorld } from '../support/redis-sentinel.js';

let world: RedisSentinelWorld;

beforeAll(async () => {
  world = await RedisSentinelWorld.start();
}, 60_000);

afterAll(() => world.stop());

describeLockBackend('redis, by Sentinels', {
  runner: { describe, it },
  sideBySide: 8,
  shortTtlMs: 600,
  traits: { modes: ['exclusive', 'shared', 'permits'], fence: 'clocked', wakeUp: 'queue', stay: true },
  create: () => redis({ sentinels: world.sentinels, name: world.name }),
  // what is documented to stay for a while: the last fence, and marks of owners who gave up
  leftovers: async () => {
    const names = (await (await world.primary()).call('KEYS', '*')) as string[];
    return names.filter((name) => !/:fence$|:gone:/.test(name));
  },
});
