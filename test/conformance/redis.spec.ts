import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { describeLockBackend } from 'nestjs-interlock/testing';
import { redis } from '../../lib/backends/redis/index.js';
import { RedisTrial } from '../support/redis-trial.js';

describe('on a real redis-server', () => {
  let trial: RedisTrial;
  beforeAll(async () => {
    trial = await RedisTrial.open();
  });
  afterAll(() => trial.close());

  describeLockBackend('redis', {
    runner: { describe, it },
    traits: { modes: ['exclusive', 'shared', 'permits'], fence: 'clocked', wakeUp: 'queue' },
    create: () => redis(trial.server.url),
    leftovers: () => trial.names(),
    cleanup: async () => {
      await trial.checkExpiries();
      await trial.admin.flushall();
    },
  });
});
