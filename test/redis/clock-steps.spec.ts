import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { redis } from '../../lib/backends/redis/index.js';
import type { Grant, LockBackend } from '../../lib/backends/lock-backend.js';
import { ClockShim } from '../support/clock-shim.js';
import { RedisServer } from '../support/redis-server.js';
import { busy, granted, listenTo, RedisTrial, until, waitFor } from '../support/redis-trial.js';

const HOUR_MS = 3_600_000;
const TTL_MS = 1_000;
/** For a slow machine. */
const SLACK_MS = 700;

describe('a Redis server whose clock is set', () => {
  let shim: ClockShim;
  let trial: RedisTrial;
  let backend: LockBackend;

  beforeEach(async () => {
    shim = await ClockShim.compile();
    trial = await RedisTrial.over(await RedisServer.launch({ environment: shim.environment }));
    ({ backend } = await trial.connect());
  });
  afterEach(async () => {
    await trial.checkExpiries();
    await trial.close();
    await shim[Symbol.asyncDispose]();
  });

  const modes = [{ mode: 'exclusive' }, { mode: 'shared' }, { mode: 'permits', of: 1 }] as const;
  const steps = [
    { step: 'back', byMs: -HOUR_MS },
    { step: 'forward', byMs: HOUR_MS },
  ] as const;

  async function serverNowMs(): Promise<number> {
    const [seconds, micros] = (await trial.admin.time()) as unknown as [number, number];
    return Number(seconds) * 1_000 + Number(micros) / 1_000;
  }

  it.each(steps)('is set $step as far as the test says', async ({ byMs }) => {
    await shim.shift(byMs);
    expect(Math.abs((await serverNowMs()) - Date.now() - byMs)).toBeLessThan(1_000);
  });

  it.each(modes.flatMap((wish) => steps.map((step) => ({ ...wish, ...step }))))(
    '[38] gives a dead holder no more than its ttl ($mode, $step)',
    async ({ byMs, step: _step, ...wish }) => {
      await granted(backend, trial.claim({ ...wish, ttlMs: TTL_MS }));
      const next = trial.claim({ mode: 'exclusive', queue: true });
      await busy(backend, next);
      await shim.shift(byMs);
      const startMs = performance.now();
      await waitFor(backend, next);
      expect(performance.now() - startMs).toBeLessThan(TTL_MS + SLACK_MS);
    },
  );

  it.each(modes)('[21] back: a living holder keeps its lock, by renewing it ($mode)', async (wish) => {
    const grant = await granted(backend, trial.claim({ ...wish, ttlMs: TTL_MS }));
    await shim.shift(-HOUR_MS);
    for (let n = 0; n < 6; n++) {
      expect(await backend.renew([grant])).toEqual(['renewed']);
      const place = await busy(backend, trial.claim());
      expect(place.busy.expiresInMs).toBeLessThanOrEqual(TTL_MS);
      await sleep(TTL_MS / 3);
    }
    expect(await backend.release(grant)).toBe('released');
    await granted(backend, trial.claim());
  });

  it.each(modes)('[21] forward: a living holder is told that its lock is gone ($mode)', async (wish) => {
    const grant = await granted(backend, trial.claim({ ...wish, ttlMs: TTL_MS }));
    await shim.shift(HOUR_MS);
    expect(await backend.renew([grant])).toEqual(['gone']);
    expect(await backend.release(grant)).toBe('gone');
  });

  it('[47] never lets fences fall, over steps, releases, claims in every mode, and evictions', async () => {
    let last = 0n;
    const rises = async (wish: object): Promise<Grant> => {
      const grant = await granted(backend, trial.claim(wish));
      expect(grant.fence).toBeGreaterThan(last);
      last = grant.fence;
      return grant;
    };
    for (const byMs of [0, -HOUR_MS, HOUR_MS, 0, -HOUR_MS, -2 * HOUR_MS, HOUR_MS, -HOUR_MS]) {
      await shim.shift(byMs);
      for (const wish of modes) await backend.release(await rises(wish));
      await rises({ ttlMs: 60_000 });
      await backend.evict('trial:key');
    }
  });

  it.each(steps)('[37] skips a dead head of the line within its second ($step)', async ({ byMs }) => {
    const holder = await granted(backend, trial.claim());
    await busy(backend, trial.claim({ queue: true }));
    const next = waitFor(backend, trial.claim({ queue: true }));
    await until(async () => (await backend.inspect('trial:key'))?.waiting === 2, 'two places');
    await shim.shift(byMs);
    await backend.release(holder);
    const startMs = performance.now();
    await next;
    expect(performance.now() - startMs).toBeLessThan(1_000 + SLACK_MS);
  });

  it('[36] back: keeps the order of the line', async () => {
    const holder = await granted(backend, trial.claim());
    const claims = [0, 1, 2].map(() => trial.claim({ queue: true }));
    const places = [];
    for (const claim of claims) places.push(await busy(backend, claim));
    await shim.shift(-HOUR_MS);
    for (let n = 0; n < 5; n++) {
      expect(await backend.stay?.(claims)).toEqual([false, false, false]);
      await sleep(300);
    }
    const ears = places.map(listenTo);
    await backend.release(holder);
    await until(() => ears[0]!.hints > 0, 'a hint for the first');
    expect(await places[1]!.retry()).not.toHaveProperty('fence');
    expect(await places[0]!.retry()).toHaveProperty('fence');
  });

  it('[36] forward: the line forms anew, and nobody waits for longer than a poll to be in it', async () => {
    await granted(backend, trial.claim({ ttlMs: 2 * HOUR_MS }));
    const claim = trial.claim({ queue: true });
    const place = await busy(backend, claim);
    await shim.shift(HOUR_MS);
    expect(await backend.stay?.([claim])).toEqual([true]);
    expect(await place.retry()).not.toHaveProperty('fence');
    expect((await backend.inspect('trial:key'))?.waiting).toBe(1);
  });

  it.each(modes)('back: a lockDelay lasts no longer than it should ($mode)', async (wish) => {
    const { backend: delaying } = await trial.connect(redis(trial.server.url, { lockDelay: '500ms' }));
    await granted(delaying, trial.claim({ ...wish, ttlMs: 300 }));
    await sleep(400);
    const next = trial.claim({ queue: true });
    expect((await busy(delaying, next)).busy.holder).toBeUndefined();
    await shim.shift(-HOUR_MS);
    const startMs = performance.now();
    await waitFor(delaying, next);
    // from the step on at most the lease and the delay
    expect(performance.now() - startMs).toBeLessThan(300 + 500 + SLACK_MS);
  });

  it('back: a claim that was abandoned stays refused', async () => {
    const claim = trial.claim();
    await backend.abandon(claim);
    await shim.shift(-HOUR_MS);
    await expect(backend.claim(claim)).rejects.toMatchObject({ certainty: 'denied' });
  });
});
