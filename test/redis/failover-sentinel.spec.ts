import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { sentinelField } from '../support/battlefields.js';
import { RedisSentinelWorld } from '../support/redis-sentinel.js';
import { strikes, testFailOvers } from './fail-over-suite.js';

describe('a fail-over by Sentinels', () => {
  let world: RedisSentinelWorld;
  beforeAll(async () => {
    Logger.overrideLogger(false);
    world = await RedisSentinelWorld.start();
  });
  afterAll(() => world.stop());

  testFailOvers(
    'Sentinel',
    '[45] tells every loss in time, settles every waiter, and leaves nothing behind',
    () => sentinelField(world),
    strikes(['losing', 'frozen', 'clean']),
    ({ recoveredMs, lost, late }, strike) => {
      expect(recoveredMs).toBeLessThan(6_000);
      // the control: what only the primary knew is really lost with it
      if (strike === 'losing')
        expect({ late, control: (lost['gone'] ?? 0) >= late }).toEqual({ late: 20, control: true });
    },
  );

  testFailOvers(
    'Sentinel with replicas: 1',
    '[46] loses no acknowledged lock with replicas: 1',
    () => sentinelField(world, { replicas: 1 }),
    strikes(['losing', 'frozen'], ['losing']),
    ({ recoveredMs, lost, late, doubles }) => {
      expect(recoveredMs).toBeLessThan(6_000);
      expect({ gone: lost['gone'], late, doubles }).toEqual({ gone: 0, late: 0, doubles: 0 });
    },
  );
});
