import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { redis } from 'nestjs-interlock/redis';
import { describeLockBackend } from 'nestjs-interlock/testing';
import { RedisClusterWorld } from '../support/redis-cluster.js';

let world: RedisClusterWorld;

beforeAll(async () => {
  world = await RedisClusterWorld.start();
}, 60_000);

afterAll(() => world.stop());

describeLockBackend('redis, a cluster', {
  runner: { describe, it },
  sideBySide: 8,
  shortTtlMs: 600,
  traits: { modes: ['exclusive', 'shared', 'permits'], fence: 'clocked', wakeUp: 'queue', stay: true },
  create: () => redis({ cluster: world.nodes }),
  // what is documented to stay for a while: the last fences, and marks of owners who gave up
  leftovers: async () => {
    const names = await Promise.all((await world.primaries()).map((server) => server.call('KEYS', '*')));
    return (names as string[][]).flat().filter((name) => !/:fence$|:gone:/.test(name));
  },
});
