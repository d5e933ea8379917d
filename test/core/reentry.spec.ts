import { describe, expect, it } from '@jest/globals';
import { currentLease } from '../../lib/core/context.js';
import { LockError, LockLostError, LockTimeoutError } from '../../lib/core/errors.js';
import type { LockOptions } from '../../lib/core/options.js';
import { count, setUp } from '../support/rig.js';

describe('re-entry', () => {
  it('[34] a nested acquisition of a held key shares it, and the last release frees it', async () => {
    const rig = setUp();
    const other = rig.replica();
    await rig.locks.using('k', { wait: 0 }, async (outer) => {
      await rig.locks.using('k', { wait: 0 }, async (inner) => {
        expect(inner.fence).toBe(outer.fence);
        const third = await rig.locks.acquire('k', { wait: 0 });
        expect(await third.release()).toBe(true);
        inner.assertHeld();
      });
      outer.assertHeld();
      expect(await other.locks.tryAcquire('k')).toBeNull();
    });
    expect(await other.locks.tryAcquire('k').then((lease) => lease?.release())).toBe(true);
    expect(count(rig.backend, 'claim')).toBe(1);
    expect(count(rig.backend, 'release')).toBe(1);
  });

  it('[34] n acquisitions need n releases, in any order', async () => {
    const rig = setUp();
    await rig.locks.using('k', async (outer) => {
      const leases = [
        await rig.locks.acquire('k'),
        await rig.locks.acquire('k'),
        await rig.locks.acquire('k'),
      ];
      await outer.release();
      expect(outer.held).toBe(false);
      expect(leases.map(({ held }) => held)).toEqual([true, true, true]);
      await leases[1]!.release();
      await leases[1]!.release();
      await leases[0]!.release();
      expect(count(rig.backend, 'release')).toBe(0);
      leases[2]!.assertHeld();
      expect(await leases[2]!.release()).toBe(true);
      expect(count(rig.backend, 'release')).toBe(1);
    });
    expect(count(rig.backend, 'release')).toBe(1);
  });

  it('[34] two concurrent requests of one process do not share', async () => {
    const rig = setUp();
    let inside = 0;
    let most = 0;
    const request = (): Promise<void> =>
      rig.locks.using('k', async () => {
        most = Math.max(most, ++inside);
        await rig.locks.using('k', () => rig.sleep(5));
        inside--;
      });
    await rig.within(500, Promise.all([request(), request(), request()]));
    expect(most).toBe(1);
  });

  it('[34] a lease taken by acquire opens no scope: who asks again, asks like anybody else', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k');
    expect(await rig.locks.tryAcquire('k')).toBeNull();
    expect(currentLease()).toBeUndefined();
    await lease.release();
  });

  it('[35] it mints no fence, and neither shortens nor renews the lease', async () => {
    const rig = setUp();
    await rig.locks.using('k', { ttl: '10s', renew: false }, async (outer) => {
      await rig.clock.advance(1_000);
      const left = outer.expiresInMs;
      await rig.locks.using('k', { ttl: '1s' }, async (inner) => {
        expect([inner.fence, inner.expiresInMs]).toEqual([outer.fence, left]);
      });
      expect(outer.expiresInMs).toBe(left);
      await rig.clock.advance(5_000);
      expect(outer.held).toBe(true);
    });
    expect(count(rig.backend, 'renew')).toBe(0);
  });

  it('[35] a context that escaped into a timer after the release is no owner', async () => {
    const rig = setUp();
    const other = rig.replica();
    const seen: unknown[] = [];
    await rig.locks.using('k', async () => {
      expect(currentLease()).toBeDefined();
      // the continuation runs in the context of the body, long after it has ended
      void rig.sleep(50).then(async () => {
        seen.push(currentLease(), await rig.locks.tryAcquire('k'));
      });
    });
    const lease = await other.locks.acquire('k');
    await rig.clock.advance(100);
    expect(seen).toEqual([undefined, null]);
    await lease.release();
  });

  it('[35] a parallel branch of the same context shares, and keeps the key until it is done too', async () => {
    const rig = setUp();
    const branches: Promise<unknown>[] = [];
    const startMs = rig.clock.now();
    const outer = rig.watch(
      rig.locks.using('k', async () => {
        branches.push(
          rig.locks.using('k', () => rig.sleep(30)),
          rig.locks.using('k', () => rig.sleep(60)),
        );
        await rig.sleep(10);
      }),
    );
    const other = rig.watch(rig.replica().locks.acquire('k'));
    await rig.clock.advance(200);
    expect(outer.atMs - startMs).toBe(10);
    expect(other.atMs - startMs).toBe(60);
    await Promise.all(branches);
    await other.value?.release();
  });

  it('[35] a branch that asks after the outer scope has ended asks like anybody else', async () => {
    const rig = setUp();
    let late: Promise<unknown> | undefined;
    await rig.locks.using('k', async () => {
      late = rig.sleep(10).then(() => rig.locks.using('k', (lease) => lease.fence));
    });
    const fence = await rig.within(100, late as Promise<bigint>);
    expect(fence).toBe(2n);
  });

  it('[35] an inner scope that is still open goes on sharing when the outer one has ended', async () => {
    const rig = setUp();
    let branch: Promise<bigint> | undefined;
    await rig.locks.using('k', async () => {
      branch = rig.locks.using('k', async () => {
        await rig.sleep(20);
        return rig.locks.using('k', { wait: 0 }, (lease) => lease.fence);
      });
    });
    expect(await rig.within(100, branch as Promise<bigint>)).toBe(1n);
    expect(rig.locks.gauges.held).toBe(0);
  });

  it('shares with whoever asks just before the last release, and never just after it', async () => {
    for (let steps = 0; steps < 12; steps++) {
      const rig = setUp();
      let late: Promise<boolean> | undefined;
      await rig.locks.using('k', async (outer) => {
        const ask = async (): Promise<boolean> => {
          for (let step = 0; step < steps; step++) await Promise.resolve();
          return rig.locks.using('k', { wait: '1s' }, async (lease) => {
            await rig.sleep(3);
            lease.assertHeld();
            return (await rig.locks.inspect('k'))?.holders[0]?.fence === lease.fence;
          });
        };
        late = ask();
        await outer.release();
      });
      expect(await rig.within(100, late as Promise<boolean>)).toBe(true);
      expect(rig.locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
    }
  });

  it('a nested acquisition inside a lost lock is refused: the work it guards should stop', async () => {
    const rig = setUp();
    await rig.locks.using('k', async () => {
      await rig.locks.forceRelease('k');
      await rig.clock.settle();
      const nested = await rig.failure(0, rig.locks.acquire('k'));
      expect(nested).toBeInstanceOf(LockLostError);
      expect(nested).toMatchObject({ reason: 'gone' });
    });
    await rig.locks.using('k', { ttl: '1s' }, async () => {
      rig.clock.skip(1_000);
      // neither timer nor signal has told yet
      expect(await rig.failure(0, rig.locks.tryAcquire(['a', 'k']))).toMatchObject({ reason: 'silent' });
      expect(await rig.locks.inspect('a')).toBeNull();
    });
    expect(rig.locks.gauges.held).toBe(0);
  });

  it.each<[string, LockOptions, LockOptions]>([
    ['shared → exclusive', { mode: 'shared' }, {}],
    ['shared → permits', { mode: 'shared' }, { permits: 3 }],
    ['permits → exclusive', { permits: 3 }, {}],
    ['permits → shared', { permits: 3 }, { mode: 'shared' }],
    ['few permits → more', { permits: 3, take: 1 }, { permits: 3, take: 2 }],
    ['permits of another number', { permits: 3 }, { permits: 4 }],
  ])('[40] %s is refused at once, and never waits for itself', async (_, outer, inner) => {
    const rig = setUp();
    const held = outer.permits === undefined ? 'shared' : 'permits';
    const wanted = inner.permits === undefined ? (inner.mode ?? 'exclusive') : 'permits';
    await rig.locks.using('k', outer, async () => {
      const error = await rig.failure(0, rig.locks.acquire('k', { ...inner, wait: Infinity }));
      expect(error).toEqual(
        new LockError(
          `"k" is held ${held} around this call, and asking for it ${wanted} in there would wait for itself for ever. Take the stronger lock first, or ask outside of it.`,
          { key: 'k' },
        ),
      );
      expect(await rig.failure(0, rig.locks.acquire(['a', 'k'], inner))).toBeInstanceOf(LockError);
      expect(await rig.locks.inspect('a')).toBeNull();
    });
    expect(rig.locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
  });

  it.each<[string, LockOptions, LockOptions]>([
    ['exclusive → shared', {}, { mode: 'shared' }],
    ['exclusive → permits', {}, { permits: 3, take: 2 }],
    ['shared → shared', { mode: 'shared' }, { mode: 'shared' }],
    ['permits → fewer of them', { permits: 3, take: 2 }, { permits: 3, take: 1 }],
  ])('[40] %s is allowed, and does not weaken the lock', async (_, outer, inner) => {
    const rig = setUp();
    const before = { value: '' };
    await rig.locks.using('k', outer, async () => {
      before.value = JSON.stringify((await rig.locks.inspect('k'))?.mode);
      await rig.locks.using('k', { ...inner, wait: 0 }, async (lease) => {
        lease.assertHeld();
        expect(JSON.stringify((await rig.locks.inspect('k'))?.mode)).toBe(before.value);
      });
    });
    expect(count(rig.backend, 'claim')).toBe(1);
  });

  it('with reentrant: false, a nested acquisition waits like anybody else', async () => {
    const rig = setUp();
    await rig.locks.using('k', async () => {
      expect(await rig.locks.tryAcquire('k', { reentrant: false })).toBeNull();
      expect(await rig.failure(300, rig.locks.acquire('k', { reentrant: false, wait: 100 }))).toBeInstanceOf(
        LockTimeoutError,
      );
    });
  });

  it('[43] several keys share what is held, and acquire the rest', async () => {
    const rig = setUp();
    await rig.locks.using(['a', 'c'], async (outer) => {
      await rig.locks.using(['a', 'b', 'c'], { wait: 0 }, async (inner) => {
        expect(inner.fences.get('a')).toBe(outer.fences.get('a'));
        expect(inner.fences.get('c')).toBe(outer.fences.get('c'));
        expect(rig.locks.gauges.held).toBe(3);
      });
      expect(rig.locks.gauges.held).toBe(2);
      expect(outer.held).toBe(true);
    });
  });

  it('[43] a refusal gives back only what it took, and its shares', async () => {
    const rig = setUp();
    const other = await rig.replica().locks.acquire('c');
    await rig.locks.using('b', async (outer) => {
      expect(await rig.locks.tryAcquire(['a', 'b', 'c'])).toBeNull();
      expect(outer.held).toBe(true);
      expect(rig.locks.gauges.held).toBe(1);
    });
    expect(rig.locks.gauges.held).toBe(0);
    expect(await rig.locks.inspect('b')).toBeNull();
    await other.release();
  });

  it('two services with the same keys have nothing in common', async () => {
    const rig = setUp({ prefix: 'one' });
    const two = rig.replica({ prefix: 'two' });
    await rig.locks.using('k', async (one) => {
      await two.locks.using('k', { wait: 0 }, async (lease) => {
        expect(lease.fence).not.toBe(one.fence);
        expect(currentLease()).toBe(lease);
        await rig.locks.using('k', { wait: 0 }, (again) => expect(again.fence).toBe(one.fence));
      });
      expect(currentLease()).toBe(one);
    });
    expect(currentLease()).toBeUndefined();
  });

  it('the current lease is that of the innermost open scope', async () => {
    const rig = setUp();
    await rig.locks.using('a', async (a) => {
      expect(currentLease()).toBe(a);
      await rig.locks.using('b', async (b) => {
        await rig.sleep(0);
        expect(currentLease()).toBe(b);
      });
      expect(currentLease()).toBe(a);
    });
    expect(currentLease()).toBeUndefined();
  });
});
