import { describe, expect, it } from '@jest/globals';
import { LockTimeoutError } from '../../lib/core/errors.js';
import { FAULTS } from '../../lib/testing/faulty-backend.js';
import { changed, count, PATIENCE_MS, setUp } from '../support/rig.js';

describe('several keys', () => {
  it('[43] are acquired together, without duplicates, each with a fence of its own', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire(['b', 'a', 'b', 'c', 'a']);
    expect(lease.keys).toEqual(['a', 'b', 'c']);
    expect(lease.key).toBe('a');
    expect([...lease.fences.keys()]).toEqual(['a', 'b', 'c']);
    expect(new Set(lease.fences.values()).size).toBe(3);
    expect(lease.fence).toBe(lease.fences.get('a'));
    expect(await lease.release()).toBe(true);
    expect(rig.backend.calls.filter(({ method }) => method === 'release').map(({ key }) => key)).toEqual([
      'interlock:c',
      'interlock:b',
      'interlock:a',
    ]);
  });

  it('[43] {a, b} against {b, a} never deadlocks', async () => {
    const rig = setUp();
    const replicas = [rig, rig.replica(), rig.replica()];
    const sets = [
      ['a', 'b'],
      ['b', 'a'],
      ['c', 'b', 'a'],
      ['b', 'c'],
      ['c', 'a'],
    ];
    const inside = new Set<string>();
    const work = Array.from({ length: 150 }, (_, n) => {
      const keys = sets[n % sets.length]!;
      return replicas[n % 3]!.locks.using(keys, { wait: Infinity }, async () => {
        for (const key of keys) {
          expect(inside.has(key)).toBe(false);
          inside.add(key);
        }
        await rig.sleep(2);
        for (const key of keys) inside.delete(key);
      });
    });
    await rig.within(5_000, Promise.all(work));
  });

  it('[43] all or nothing: a busy one rolls the others back, in reverse', async () => {
    const rig = setUp();
    const other = await rig.replica().locks.acquire('c');
    expect(await rig.locks.tryAcquire(['c', 'b', 'a'])).toBeNull();
    expect(rig.backend.calls.map(({ method, key }) => `${method} ${key ?? ''}`)).toEqual([
      'start ',
      'claim interlock:a',
      'claim interlock:b',
      'claim interlock:c',
      'release interlock:b',
      'release interlock:a',
    ]);
    expect(await rig.failure(400, rig.locks.acquire(['a', 'c'], { wait: 100 }))).toMatchObject({
      name: 'LockTimeoutError',
      key: 'c',
      message: expect.stringMatching(/^Could not lock "c" within 100 ms: it is held by /),
    });
    expect(rig.locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
    await other.release();
  });

  it.each(FAULTS)('[43] an unavailable one (%s) rolls the others back too', async (fault) => {
    const rig = setUp({
      plan: ({ method, key }) => (method === 'claim' && key === 'interlock:b' ? fault : undefined),
    });
    const error = await rig.failure(1_250, rig.locks.acquire(['a', 'b', 'c'], { wait: 0 }));
    expect(error).toMatchObject({ name: 'LockUnavailableError', key: 'b' });
    await rig.clock.settle();
    expect(await rig.locks.inspect('a')).toBeNull();
    expect(count(rig.backend, 'claim')).toBe(2);
  });

  it('[9, 43] they have one wait in common', async () => {
    const rig = setUp();
    const other = rig.replica();
    const a = await other.locks.acquire('a');
    const b = await other.locks.acquire('b');
    const startMs = rig.clock.now();
    const refused = rig.watch(rig.locks.acquire(['a', 'b'], { wait: 1_000 }));
    await rig.clock.advance(700);
    await a.release();
    await rig.clock.advance(1_000);
    expect(refused.error).toBeInstanceOf(LockTimeoutError);
    expect(refused.atMs - startMs).toBeLessThanOrEqual(1_050);
    expect(refused.error).toMatchObject({ key: 'b', waitedMs: 1_000 });
    expect(await other.locks.tryAcquire('a').then((lease) => lease?.release())).toBe(true);
    await b.release();
  });

  it.each(FAULTS)(
    '[9, 43] a server that fails (%s) when the wait is used up costs no further time',
    async (fault) => {
      const rig = setUp({
        plan: ({ method, key }) => (method === 'claim' && key === 'interlock:b' ? fault : undefined),
      });
      const a = await rig.replica().locks.acquire('a');
      const startMs = rig.clock.now();
      const refused = rig.watch(rig.locks.acquire(['a', 'b'], { wait: 500 }));
      await rig.clock.advance(500 - 1);
      await a.release();
      await rig.clock.advance(2_000);
      expect(refused.error).toMatchObject({ name: 'LockUnavailableError', key: 'b' });
      expect(refused.atMs - startMs).toBeLessThanOrEqual(500 + PATIENCE_MS);
    },
  );

  it.each(FAULTS)(
    '[9, 43] nor when it was used up by an answer that came in the last moment (%s)',
    async (fault) => {
      const rig = setUp({
        between: (inner) =>
          changed(inner, {
            claim: async (claim) => {
              if (claim.key === 'interlock:a') await rig.sleep(600);
              return inner.claim(claim);
            },
          }),
        plan: ({ method, key }) => (method === 'claim' && key === 'interlock:b' ? fault : undefined),
      });
      const startMs = rig.clock.now();
      const refused = rig.watch(rig.locks.acquire(['a', 'b'], { wait: 500 }));
      await rig.clock.advance(5_000);
      expect(refused.error).toMatchObject({ name: 'LockUnavailableError', key: 'b' });
      // each of the two calls has its grace
      expect(refused.atMs - startMs).toBeLessThanOrEqual(600 + PATIENCE_MS);
    },
  );

  it('[56, 43] none of them may be lost by the time the last one is there', async () => {
    const rig = setUp();
    const other = rig.replica();
    const b = await other.locks.acquire('b');
    let ran = false;
    const evicted = rig.watch(rig.locks.using(['a', 'b'], () => (ran = true)));
    await rig.clock.advance(100);
    await other.locks.forceRelease('a');
    await rig.clock.settle();
    await b.release();
    await rig.clock.settle();
    expect(evicted.error).toMatchObject({
      name: 'LockUnavailableError',
      key: 'a',
      message: expect.stringContaining('The lock "a" (fence 2) was lost'),
    });
    expect(ran).toBe(false);
    expect(rig.locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
    expect(await other.locks.inspect('b')).toBeNull();
  });

  it('[25, 56, 43] nor may one have run out while the event loop was blocked', async () => {
    const rig = setUp({
      between: (inner) =>
        changed(inner, {
          claim: async (claim) => {
            if (claim.key === 'interlock:b') rig.clock.skip(1_000);
            return inner.claim(claim);
          },
        }),
    });
    let ran = false;
    const failed = rig.locks.using(['a', 'b'], { ttl: 500 }, () => (ran = true));
    expect(await rig.failure(5, failed)).toMatchObject({ name: 'LockUnavailableError', key: 'a' });
    expect(ran).toBe(false);
    expect(rig.locks.gauges.held).toBe(0);
  });

  it('[10, 43] an abort in the middle gives back what was taken', async () => {
    const rig = setUp();
    const b = await rig.replica().locks.acquire('b');
    const abort = new AbortController();
    const waiting = rig.watch(rig.locks.acquire(['a', 'b'], { signal: abort.signal }));
    await rig.clock.advance(100);
    abort.abort();
    await rig.clock.settle();
    expect(waiting.error).toBe(abort.signal.reason);
    expect(await rig.locks.inspect('a')).toBeNull();
    expect((await rig.locks.inspect('b'))?.waiting).toBe(0);
    await b.release();
  });

  it('while it waits for a later key, the earlier ones are renewed', async () => {
    const rig = setUp();
    const b = await rig.replica().locks.acquire('b');
    const waiting = rig.watch(rig.locks.acquire(['a', 'b'], { ttl: '1s', wait: '1m' }));
    await rig.clock.advance(20_000);
    expect((await rig.locks.inspect('a'))?.holders).toHaveLength(1);
    await b.release();
    await rig.clock.settle();
    expect(waiting.value?.held).toBe(true);
    await waiting.value?.release();
  });

  it.each(FAULTS)(
    '[24] a roll-back that fails (%s) delays the refusal only a little, and is cleaned up',
    async (fault) => {
      const rig = setUp();
      const c = await rig.replica().locks.acquire('c');
      await rig.locks.start();
      rig.backend.plan = ({ method, nOfMethod }) =>
        method === 'release' && nOfMethod <= 2 ? fault : undefined;
      const startMs = rig.clock.now();
      const refused = rig.watch(rig.locks.tryAcquire(['a', 'b', 'c']));
      await rig.clock.advance(5_000);
      expect(refused.value).toBeNull();
      expect(refused.atMs - startMs).toBeLessThanOrEqual(PATIENCE_MS);
      await rig.clock.advance(5_000);
      expect(await rig.locks.inspect('a')).toBeNull();
      expect(await rig.locks.inspect('b')).toBeNull();
      await c.release();
    },
  );

  it('a release goes on to the others when one is not confirmed, and says so', async () => {
    const rig = setUp({
      plan: ({ method, key }) => (method === 'release' && key === 'interlock:b' ? 'before' : undefined),
    });
    const lease = await rig.locks.acquire(['a', 'b', 'c']);
    expect(await rig.failure(1_250, lease.release())).toMatchObject({
      name: 'LockUnavailableError',
      key: 'b',
    });
    expect(await rig.locks.inspect('a')).toBeNull();
    expect(await rig.locks.inspect('c')).toBeNull();
  });

  it('[22] a server that is silent at the release of many costs no more than at the release of one', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire(['a', 'b', 'c', 'd', 'e'], { ttl: '1h' });
    rig.backend.plan = ({ method }) => (method === 'release' ? 'hang' : undefined);
    const startMs = rig.clock.now();
    const released = rig.watch(lease.release());
    await rig.clock.advance(20_000);
    expect(released.error).toMatchObject({ name: 'LockUnavailableError' });
    expect(released.atMs - startMs).toBeLessThanOrEqual(1_000 + PATIENCE_MS);
  });
});
