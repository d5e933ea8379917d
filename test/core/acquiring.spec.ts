import { describe, expect, it } from '@jest/globals';
import type { Claim } from '../../lib/backends/lock-backend.js';
import { LockTimeoutError } from '../../lib/core/errors.js';
import { changed, count, got, setUp } from '../support/rig.js';

describe('acquiring', () => {
  it('[1] a free key is acquired, by one call to the server', async () => {
    const { locks, backend } = setUp();
    const lease = await locks.acquire('seat:12');
    expect(lease).toMatchObject({ key: 'seat:12', keys: ['seat:12'], held: true });
    expect(lease.fence).toBeGreaterThan(0n);
    expect(lease.fences).toEqual(new Map([['seat:12', lease.fence]]));
    expect(await lease.release()).toBe(true);
    expect(backend.calls.map(({ method }) => method)).toEqual(['start', 'claim', 'release']);
  });

  it('[1] a try on a held key says null, at once, and leaves no trace', async () => {
    const { locks, backend, clock } = setUp();
    const lease = await locks.acquire('k');
    const startMs = clock.now();
    expect(await locks.tryAcquire('k')).toBeNull();
    expect(await locks.tryAcquire(['j', 'k'])).toBeNull();
    expect(clock.now()).toBe(startMs);
    expect((await locks.inspect('k'))?.waiting).toBe(0);
    expect(await locks.inspect('j')).toBeNull();
    expect(count(backend, 'abandon')).toBe(0);
    await lease.release();
    const next = await got(locks.tryAcquire('k'));
    await next.release();
  });

  it('[1] acquire without waiting says who holds the key, and for how long', async () => {
    const rig = setUp({ identity: 'web-1' });
    const other = rig.replica({ identity: 'web-2' });
    const lease = await rig.locks.acquire('k', { ttl: '10s', renew: false });
    const error = await rig.failure(0, other.locks.acquire('k', { wait: 0 }));
    expect(error).toEqual(
      new LockTimeoutError(
        'Could not lock "k" at the first try: it is held by web-1 (lease: 10000 ms more, unless renewed). Give more time with wait, or handle this refusal with onBusy.',
        { key: 'k', waitedMs: 0 },
      ),
    );
    expect(error).toBeInstanceOf(LockTimeoutError);
    expect(error).toMatchObject({ key: 'k', waitedMs: 0, expiresInMs: 10_000 });
    expect((error as LockTimeoutError).holder).toMatch(/^web-1~/);
    await lease.release();
  });

  it('[2] after the release the next one gets it at once', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k');
    const next = rig.watch(rig.locks.acquire('k'));
    const remote = rig.watch(rig.replica().locks.acquire('k'));
    await rig.clock.advance(20);
    const freedMs = rig.clock.now();
    await lease.release();
    await rig.clock.settle();
    expect([next.atMs, remote.settled]).toEqual([freedMs, false]);
    await next.value?.release();
    await rig.clock.settle();
    expect(remote.atMs).toBe(freedMs);
    await remote.value?.release();
  });

  it('[2] different keys never interfere, and keys are case-sensitive', async () => {
    const { locks } = setUp();
    const leases = [];
    for (const key of ['seat', 'Seat', 'SEAT', 'seat:', 'seat:1', 'seat:11']) {
      leases.push(await got(locks.tryAcquire(key)));
    }
    await leases.pop()?.release();
    for (const lease of leases) expect(lease.held).toBe(true);
    for (const lease of leases) await lease.release();
  });

  it('[6] of 100 contenders in 4 services never two are inside, and all get in', async () => {
    const rig = setUp();
    const replicas = [rig, rig.replica(), rig.replica(), rig.replica()];
    let inside = 0;
    let most = 0;
    const fences: bigint[] = [];
    const work = Array.from({ length: 100 }, (_, index) =>
      replicas[index % 4]!.locks.using('k', { wait: Infinity }, async (lease) => {
        most = Math.max(most, ++inside);
        fences.push(lease.fence);
        await new Promise<void>((resolve) => {
          rig.clock.setTimer(resolve, 3);
        });
        inside--;
      }),
    );
    await rig.within(1_000, Promise.all(work));
    expect(most).toBe(1);
    expect(fences).toHaveLength(100);
    expect(fences).toEqual([...fences].sort((a, b) => Number(a - b)));
  });

  it('[16] a holder that was killed silently is replaced at its ttl, without any message', async () => {
    const rig = setUp();
    const dead = rig.replica({ plan: (call) => (call.method === 'renew' ? 'hang' : undefined) });
    await dead.locks.acquire('k', { ttl: '2s' });
    const startMs = rig.clock.now();
    const next = rig.watch(rig.locks.acquire('k'));
    await rig.clock.advance(3_000);
    expect(next.atMs - startMs).toBeGreaterThanOrEqual(1_978);
    expect(next.atMs - startMs).toBeLessThanOrEqual(2_005);
    await next.value?.release();
  });

  it('[26] a grant that counts by another clock is none: nobody would ever hear of its end', async () => {
    const rig = setUp({
      between: (inner) =>
        changed(inner, {
          claim: async (claim: Claim) => ({ ...(await inner.claim(claim)), sentAtMs: Date.now() }),
        }),
    });
    const failed = rig.watch(rig.locks.acquire('k', { wait: 300 }));
    await rig.clock.advance(600);
    expect(failed.error).toMatchObject({
      name: 'LockUnavailableError',
      message: expect.stringContaining('sentAtMs'),
    });
    expect(await rig.replica().locks.inspect('k')).toBeNull();
  });

  it('[26] an acquisition that took longer than its ttl is failed and given back', async () => {
    const rig = setUp({
      between: (inner) =>
        changed(inner, {
          claim: async (...args: Parameters<typeof inner.claim>) => {
            const answer = await inner.claim(...args);
            rig.clock.skip(300);
            return answer;
          },
        }),
    });
    const error = await rig.failure(0, rig.locks.acquire('k', { ttl: 300 }));
    expect(error).toMatchObject({
      name: 'LockUnavailableError',
      message: expect.stringContaining('it was granted, but the answer took longer than the ttl of 300 ms'),
    });
    await rig.clock.settle();
    expect(count(rig.backend, 'abandon')).toBe(1);
    expect(await rig.locks.inspect('k')).toBeNull();
  });

  it('[26] the validity given out is positive, less than the ttl, and counted from before the send', async () => {
    const rig = setUp({
      between: (inner) =>
        changed(inner, {
          claim: async (...args: Parameters<typeof inner.claim>) => {
            const answer = await inner.claim(...args);
            rig.clock.skip(400);
            return answer;
          },
        }),
    });
    const lease = await rig.locks.acquire('k', { ttl: 1_000 });
    // 1 % and 2 ms for clocks that do not run alike
    expect(lease.expiresInMs).toBe(1_000 - 400 - 12);
    await lease.release();
  });
});
