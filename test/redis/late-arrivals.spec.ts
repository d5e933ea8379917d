import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { redis } from '../../lib/backends/redis/index.js';
import { Locks } from '../../lib/core/locks.js';
import { failureOf, granted, RedisTrial, until } from '../support/redis-trial.js';
import { SlowRoad } from '../support/slow-road.js';

const NAME = '{trial:key}';

describe('a claim that reaches a Redis server long after it was sent', () => {
  let trial: RedisTrial;
  let road: SlowRoad;
  beforeAll(async () => {
    trial = await RedisTrial.open();
    road = await SlowRoad.to(trial.server.port);
  });
  afterEach(() => trial.clear());
  afterAll(async () => {
    await road[Symbol.asyncDispose]();
    await trial.close();
  });

  const wishes = [{}, { queue: true }, { mode: 'shared' }, { mode: 'permits', of: 3, queue: true }] as const;

  it.each(wishes)(
    '[11] by a connection that broke, is refused after its owner gave up (%j)',
    async (wish) => {
      const { backend } = await trial.connect(redis(`redis://127.0.0.1:${road.port}`));
      const claim = trial.claim(wish);
      road.keep();
      const lost = failureOf(backend.claim(claim));
      await until(() => road.isKeeping, 'the claim on its way');
      road.hangUp();
      const deliver = road.open();
      expect(await lost).toMatchObject({ certainty: 'unknown' });
      await until(async () => {
        return backend.abandon(claim).then(
          () => true,
          () => false,
        );
      }, 'the abandonment, over the next connection');
      await trial.admin.config('RESETSTAT');
      deliver();
      await until(async () => (await trial.scriptCalls()) > 0, 'the arrival of the claim');
      expect(await trial.names()).toEqual([]);
      await granted(backend, trial.claim());
    },
  );

  it('[11] is refused as well when the core gave up on it, and leaves the key to others', async () => {
    const locks = new Locks(redis(`redis://127.0.0.1:${road.port}`), {
      prefix: 'trial',
      callTimeout: '200ms',
    });
    await locks.start();
    road.keep();
    const failure: unknown = await locks.acquire('key', { wait: 0 }).catch((error: unknown) => error);
    expect(String(failure)).toContain('did not answer');
    road.hangUp();
    const deliver = road.open();
    await until(() => locks.gauges.owed === 0, 'the clean-up');
    deliver();
    await until(async () => (await trial.admin.keys('*:gone:*')).length === 1, 'the mark');
    expect(await trial.admin.exists(NAME)).toBe(0);
    const lease = await locks.acquire('key', { wait: 0 });
    await lease.release();
    await locks.stop();
  });

  it('costs the server a small mark for a minute', async () => {
    const { backend } = await trial.connect();
    const claims = Array.from({ length: 100 }, () => trial.claim());
    await Promise.all(claims.map((claim) => backend.abandon(claim)));
    const marks = await trial.admin.keys('*:gone:*');
    expect(marks).toHaveLength(100);
    for (const mark of marks) {
      const pttl = await trial.admin.pttl(mark);
      expect(pttl > 0 && pttl <= 60_000).toBe(true);
      expect(await trial.admin.memory('USAGE', mark)).toBeLessThan(200);
    }
  });

  it('renews nothing that was released meanwhile, and releases nothing of the next owner', async () => {
    const { backend } = await trial.connect(redis(`redis://127.0.0.1:${road.port}`));
    const { backend: other } = await trial.connect();
    const grant = await granted(backend, trial.claim());
    road.keep();
    const late = [failureOf(backend.renew([grant])), failureOf(backend.release(grant))];
    await until(() => road.isKeeping, 'both on their way');
    road.hangUp();
    const deliver = road.open();
    await Promise.all(late);
    expect(await other.release(grant)).toBe('released');
    const next = await granted(other, trial.claim({ ttlMs: 5_000 }));
    await trial.admin.config('RESETSTAT');
    deliver();
    await until(async () => (await trial.scriptCalls()) >= 2, 'the arrival of both');
    const [holder] = (await other.inspect('trial:key'))?.holders ?? [];
    expect(holder).toMatchObject({ owner: next.claim.owner, fence: next.fence });
    expect(holder?.expiresInMs).toBeLessThanOrEqual(5_000);
  });
});
