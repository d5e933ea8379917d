import assert from 'node:assert/strict';
import { Redis } from 'ioredis';
import { redis } from 'nestjs-interlock/redis';
import { endlessKeys } from '../support/endless-keys.js';
import { RedisServer } from '../support/redis-server.js';
import { describeLocks } from './locks-suite.js';

let server: RedisServer;
let admin: Redis;

describeLocks('redis', {
  open: async () => {
    server = await RedisServer.start();
    admin = new Redis(server.url);
  },
  close: async () => {
    // after all that was killed
    assert.deepEqual(await endlessKeys(admin), []);
    admin.disconnect();
    await server.stop();
  },
  create: () => redis(server.url),
  processes: () => ['redis', server.url],
  // the connections that have subscriptions, with either line of ioredis
  killNotifications: async () => {
    const clients = String(await admin.client('LIST')).split('\n');
    let killed = 0;
    for (const line of clients) {
      const id = /\bid=(\d+)/.exec(line)?.[1];
      if (id === undefined || !/\bs?sub=[1-9]/.test(line)) continue;
      killed += Number(await admin.client('KILL', 'ID', id));
    }
    assert(killed > 0, 'there are subscriptions to kill');
  },
});
