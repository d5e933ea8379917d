import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { redis } from 'nestjs-interlock/redis';
import { describeLockBackend } from 'nestjs-interlock/testing';
import { endlessKeys } from '../support/endless-keys.js';
import { RedisServer } from '../support/redis-server.js';

let server: RedisServer;
let client: Redis;

beforeAll(async () => {
  server = await RedisServer.start();
  client = new Redis(server.url);
});

afterAll(async () => {
  client.disconnect();
  await server.stop();
});

describeLockBackend('redis with a lockDelay', {
  runner: { describe, it },
  sideBySide: 8,
  shortTtlMs: 600,
  traits: {
    modes: ['exclusive', 'shared', 'permits'],
    fence: 'clocked',
    wakeUp: 'queue',
    stay: true,
    lockDelayMs: 1_000,
  },
  create: () => redis(server.url, { lockDelay: 1_000 }),
  // what is documented to stay for a while: the last fence, and marks of owners who gave up
  leftovers: async () => [
    ...(await client.keys('*')).filter((name) => !/:fence$|:gone:/.test(name)),
    ...(await endlessKeys(client)),
  ],
});
