import { describe, expect, it } from '@jest/globals';
import { LockConfigurationError, LockError } from '../../lib/core/errors.js';
import { FenceGuard, StaleFenceError } from '../../lib/core/fence-guard.js';
import { setUp } from '../support/rig.js';

describe('the fence guard', () => {
  it('[47] accepts an equal or a newer fence, and rejects an older one', () => {
    const guard = new FenceGuard();
    expect(guard.accepts('seat', 7n)).toBe(true);
    expect(guard.accepts('seat', 7n)).toBe(true);
    expect(guard.accepts('seat', 9n)).toBe(true);
    expect(guard.accepts('seat', 8n)).toBe(false);
    expect(guard.accepts('seat', 7n)).toBe(false);
    expect(guard.accepts('seat', 9n)).toBe(true);
  });

  it('[47] a rejected fence changes nothing, and each key has its own', () => {
    const guard = new FenceGuard();
    guard.check('a', 5n);
    expect(guard.accepts('a', 4n)).toBe(false);
    expect(guard.accepts('a', 5n)).toBe(true);
    expect(guard.accepts('__proto__', 1n)).toBe(true);
    expect(guard.accepts('b', 1n)).toBe(true);
  });

  it('[47] refuses what is no fence: a guard that takes it for a new one guards nothing', () => {
    const guard = new FenceGuard();
    guard.check('seat', 7n);
    for (const wrong of [undefined, null, NaN, 8, '8', {}] as unknown as bigint[]) {
      expect(() => guard.accepts('seat', wrong)).toThrow(LockConfigurationError);
      expect(() => guard.check('seat', wrong)).toThrow(/give the lease's fence, a bigint/);
    }
    expect(guard.accepts('seat', 6n)).toBe(false);
    expect(guard.accepts('seat', 7n)).toBe(true);
  });

  it('[47] compares fences beyond 2^53 exactly', () => {
    const guard = new FenceGuard();
    guard.check('a', 2n ** 53n + 1n);
    expect(guard.accepts('a', 2n ** 53n)).toBe(false);
  });

  it('[47] says which write to drop', () => {
    const guard = new FenceGuard();
    guard.check('seat:1', 9n);
    const stale = (): void => guard.check('seat:1', 8n);
    expect(stale).toThrow(new StaleFenceError('seat:1', 8n, 9n));
    expect(stale).toThrow(
      'The write under "seat:1" carries fence 8, but fence 9 was seen already: its holder has lost the lock. Drop the write.',
    );
    expect(stale).toThrow(LockError);
    expect(stale).toThrow(expect.objectContaining({ fence: 8n, newestFence: 9n, key: 'seat:1' }));
  });

  it('[47] a holder that was frozen past its ttl is stopped at the resource', async () => {
    const { locks, clock } = setUp();
    const guard = new FenceGuard();
    const frozen = await locks.acquire('seat', { ttl: 1_000, renew: false });
    clock.skip(2_000);
    const next = await locks.acquire('seat', { wait: 0 });
    guard.check('seat', next.fence);
    expect(() => guard.check('seat', frozen.fence)).toThrow(StaleFenceError);
    expect(await next.release()).toBe(true);
  });

  it('[47] fences strictly rise over release, expiry, eviction and clean-up', async () => {
    const rig = setUp();
    const { locks, clock } = rig;
    const fences: bigint[] = [];
    for (let round = 0; round < 5; round++) {
      const released = await locks.acquire('k');
      await released.release();
      const expired = await locks.acquire('k', { ttl: 50, renew: false });
      await clock.advance(60);
      const evicted = await locks.acquire('k');
      await locks.forceRelease('k');
      const aborted = new AbortController();
      const waiting = locks.acquire('k', { signal: aborted.signal });
      const lease = await waiting;
      fences.push(released.fence, expired.fence, evicted.fence, lease.fence);
      await lease.release();
    }
    expect(fences).toEqual([...fences].sort((a, b) => (a < b ? -1 : 1)));
    expect(new Set(fences).size).toBe(fences.length);
  });
});
