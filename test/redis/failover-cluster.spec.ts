import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { clusterField } from '../support/battlefields.js';
import { RedisClusterWorld } from '../support/redis-cluster.js';
import { strikes, testFailOvers } from './fail-over-suite.js';

describe('a fail-over in a cluster', () => {
  let world: RedisClusterWorld;
  beforeAll(async () => {
    Logger.overrideLogger(false);
    world = await RedisClusterWorld.start();
  });
  afterAll(() => world.stop());

  testFailOvers(
    'Cluster',
    '[45] tells every loss in time, settles every waiter, and leaves nothing behind',
    () => clusterField(world),
    strikes(['losing', 'frozen', 'clean']),
    ({ recoveredMs, lost, late, doubles }, strike) => {
      expect(recoveredMs).toBeLessThan(6_000);
      // the control: what only the primary knew is really lost with it
      if (strike === 'losing')
        expect({ late, control: (lost['gone'] ?? 0) >= late / 2 }).toEqual({ late: 20, control: true });
      if (strike === 'clean') expect({ gone: lost['gone'], doubles }).toEqual({ gone: 0, doubles: 0 });
    },
  );

  testFailOvers(
    'Cluster with replicas: 1',
    '[46] loses no acknowledged lock with replicas: 1',
    () => clusterField(world, { replicas: 1 }),
    strikes(['losing', 'frozen'], ['losing']),
    ({ lost, doubles }) => {
      expect({ gone: lost['gone'], doubles }).toEqual({ gone: 0, doubles: 0 });
    },
  );
});
