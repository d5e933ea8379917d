import { expect, it } from '@jest/globals';
import { redis } from '../../lib/backends/redis/index.js';
import type { Grant } from '../../lib/backends/lock-backend.js';
import { BackendTrial } from '../support/backend-trial.js';
import { RedisClusterWorld } from '../support/redis-cluster.js';
import { RedisSentinelWorld } from '../support/redis-sentinel.js';

const LIMIT_MS = 180_000;
const FAIL_OVERS = 3;

class Trial extends BackendTrial implements AsyncDisposable {
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopAll();
  }
}

it(
  '[46] no lock that replicas acknowledged is lost in a fail-over that loses what they do not have',
  async () => {
    await using world = await RedisSentinelWorld.start();
    for (let round = 0; round < FAIL_OVERS; round++) {
      await using trial = new Trial();
      // both: whichever becomes primary has the lock
      const settings = { replicas: 2, replicaTimeout: '300ms' } as const;
      const { backend } = await trial.start(
        redis({ sentinels: world.sentinels, name: world.name, ...settings }),
      );
      const acknowledged: Grant[] = [];
      let refused = 0;
      const claimOn = async (prefix: string): Promise<void> => {
        for (let n = 0; n < 10; n++) {
          const claim = trial.claim({ key: `trial:${round}-${prefix}${n}`, ttlMs: 60_000 });
          const answer = await backend.claim(claim).catch(() => undefined);
          if (answer && 'fence' in answer) acknowledged.push(answer);
          else refused++;
        }
      };
      await claimOn('before');
      const successor = await world.losingFailOver(() => claimOn('lost'));
      expect(acknowledged).toHaveLength(10);
      expect(refused).toBe(10);
      for (const { claim } of acknowledged) {
        const value = await successor.call('GET', `{${claim.key}}`);
        expect(String(value).startsWith(`${claim.owner}|`)).toBe(true);
      }
      await world.heal();
    }
  },
  LIMIT_MS,
);

it(
  '[46] replicas acknowledge on whichever server of a cluster has the lock',
  async () => {
    await using world = await RedisClusterWorld.start();
    await using trial = new Trial();
    const { backend } = await trial.start(
      redis({ cluster: world.nodes, replicas: 1, replicaTimeout: '300ms' }),
    );
    for (const wish of [{ mode: 'exclusive' }, { mode: 'shared' }, { mode: 'permits', of: 2 }] as const) {
      const claims = Array.from({ length: 20 }, (_, n) =>
        trial.claim({ ...wish, key: `trial:${wish.mode}${n}` }),
      );
      const grants: Grant[] = [];
      for (const claim of claims) grants.push((await backend.claim(claim)) as Grant);
      expect(grants.map((grant) => grant.claim)).toEqual(claims);
      expect(await backend.renew(grants)).toEqual(claims.map(() => 'renewed'));
      for (const grant of grants) expect(await backend.release(grant)).toBe('released');
    }
  },
  LIMIT_MS,
);
