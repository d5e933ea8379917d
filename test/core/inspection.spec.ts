import { describe, expect, it } from '@jest/globals';
import type { LockBackend, LockSnapshot } from '../../lib/backends/lock-backend.js';
import { memory } from '../../lib/backends/memory/index.js';
import { canonicalKey } from '../../lib/core/key.js';
import { Locks } from '../../lib/core/locks.js';
import { FAULTS } from '../../lib/testing/faulty-backend.js';
import { changed, count, PATIENCE_MS, Rig, setUp } from '../support/rig.js';

async function all(list: AsyncIterable<LockSnapshot>): Promise<LockSnapshot[]> {
  const snapshots: LockSnapshot[] = [];
  for await (const snapshot of list) snapshots.push(snapshot);
  return snapshots.sort((a, b) => (a.key < b.key ? -1 : 1));
}

describe('inspect, list and forceRelease', () => {
  it('[32] inspect tells owner, mode, expiry, fence, holders and waiters', async () => {
    const rig = setUp({ identity: 'web-1' });
    const other = rig.replica({ identity: 'web-2' });
    const one = await rig.locks.acquire('k', { permits: 3, take: 2, ttl: '10s', renew: false });
    const two = await other.locks.acquire('k', { permits: 3, ttl: '20s', renew: false });
    await rig.clock.advance(1_000);
    const waiting = [rig, rig, other].map(({ locks }) => rig.watch(locks.acquire('k', { wait: '1s' })));
    await rig.clock.advance(100);
    expect(await other.locks.inspect('k')).toEqual({
      key: 'k',
      mode: 'permits',
      of: 3,
      holders: [
        { owner: expect.stringMatching(/^web-1~/), take: 2, fence: one.fence, expiresInMs: 8_900 },
        { owner: expect.stringMatching(/^web-2~/), take: 1, fence: two.fence, expiresInMs: 18_900 },
      ],
      // one a service, however many callers wait in it
      waiting: 2,
    });
    expect(rig.locks.gauges).toEqual({ held: 1, waiting: 2, owed: 0 });
    await rig.clock.advance(2_000);
    expect(waiting.every(({ error }) => error !== undefined)).toBe(true);
    await one.release();
    await two.release();
    expect(await rig.locks.inspect('k')).toBeNull();
  });

  it('[32] a key is named as the caller named it, however unusual', async () => {
    const rig = setUp();
    const key = `größe {${'x'.repeat(300)}}`;
    const lease = await rig.locks.acquire(key);
    expect((await rig.locks.inspect(key))?.key).toBe(key);
    const [listed] = await all(rig.locks.list());
    expect(`interlock:${listed?.key}`).toBe(canonicalKey('interlock', key));
    await lease.release();
  });

  it('[5, 32] list finds what is held under a prefix, of this service alone', async () => {
    const rig = setUp({ prefix: 'one' });
    const other = rig.replica({ prefix: 'two' });
    const leases = [
      await rig.locks.acquire('order:1'),
      await rig.locks.acquire('order:2', { mode: 'shared' }),
      await rig.locks.acquire('seat:1'),
      await other.locks.acquire('order:3'),
    ];
    expect((await all(rig.locks.list())).map(({ key }) => key)).toEqual(['order:1', 'order:2', 'seat:1']);
    expect((await all(rig.locks.list('order:'))).map(({ key }) => key)).toEqual(['order:1', 'order:2']);
    expect(await all(rig.locks.list('Order'))).toEqual([]);
    for await (const { key } of other.locks.list()) {
      expect(key).toBe('order:3');
      break;
    }
    for (const lease of leases) await lease.release();
    expect(await all(rig.locks.list())).toEqual([]);
  });

  it("[32] forceRelease frees, wakes the waiters, and the holder's signal fires", async () => {
    const rig = setUp();
    const holder = rig.replica();
    const lease = await holder.locks.acquire('k', { ttl: '1h' });
    const { signal } = lease;
    const waiting = rig.watch(rig.locks.acquire('k'));
    await rig.clock.advance(10);
    const nowMs = rig.clock.now();
    expect(await rig.locks.forceRelease('k')).toBe(true);
    await rig.clock.settle();
    expect([signal.aborted, waiting.atMs]).toEqual([true, nowMs]);
    expect(signal.reason).toMatchObject({ name: 'LockLostError', key: 'k', reason: 'gone' });
    expect(await lease.release()).toBe(false);
    await waiting.value?.release();
    expect(await rig.locks.forceRelease('k')).toBe(false);
  });

  it('[32] forceRelease takes the key from readers and permit holders as well', async () => {
    const rig = setUp();
    const readers = [];
    for (let n = 0; n < 3; n++) readers.push(await rig.locks.acquire('k', { mode: 'shared' }));
    const signals = readers.map(({ signal }) => signal);
    expect(await rig.locks.forceRelease('k')).toBe(true);
    await rig.clock.settle();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true]);
    expect(await rig.locks.inspect('k')).toBeNull();
  });

  it.each(FAULTS)('[24] a server that fails (%s) is said to, in time', async (fault) => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k');
    rig.backend.plan = ({ method }) => (['inspect', 'evict', 'list'].includes(method) ? fault : undefined);
    for (const [what, call] of [
      ['look at "k"', () => rig.locks.inspect('k')],
      ['release "k"', () => rig.locks.forceRelease('k')],
      ['list the locks', () => rig.locks.list().next()],
    ] as const) {
      const startMs = rig.clock.now();
      const failed = rig.watch<unknown>(call());
      await rig.clock.advance(1_500);
      expect(failed.error).toMatchObject({
        name: 'LockUnavailableError',
        message: expect.stringMatching(new RegExp(`^Could not ${what}: `)),
      });
      expect(failed.atMs - startMs).toBeLessThanOrEqual(1_000 + PATIENCE_MS);
    }
    expect(await rig.within(2_000, lease.release())).toBe(fault !== 'after' && fault !== 'hang-after');
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new TypeError('no list');
      },
    ],
    ['is none', () => undefined],
    ['has a list whose steps are no steps', () => ({ [Symbol.asyncIterator]: () => ({ next: () => 42 }) })],
    [
      'has a list that cannot be left',
      () => ({
        [Symbol.asyncIterator]: () => ({
          next: () => Promise.reject(new Error('down')),
          return: () => {
            throw new TypeError('no end');
          },
        }),
      }),
    ],
  ])('[24] a backend whose list %s is one that did not say', async (_, list) => {
    const rig = new Rig();
    const locks = new Locks(changed(memory({ server: rig.server }), { list: list as LockBackend['list'] }), {
      clock: rig.clock,
    });
    const failed = rig.watch(all(locks.list()));
    await rig.clock.advance(0);
    expect(failed.error).toMatchObject({ name: 'LockUnavailableError' });
    await locks.stop();
  });

  it('[32] a list that its reader leaves is told so, whatever that comes to', async () => {
    for (const end of [
      () => 42,
      () => {
        throw new TypeError('no end');
      },
      () => Promise.reject(new Error('no end')),
    ] as (() => unknown)[]) {
      const rig = new Rig();
      let left = 0;
      const snapshot = { key: 'interlock:k', mode: 'exclusive', of: 1, holders: [], waiting: 0 };
      const steps = {
        next: async () => ({ done: false, value: snapshot }),
        return: () => {
          left++;
          return end();
        },
      };
      const list = (() => ({ [Symbol.asyncIterator]: () => steps })) as unknown as LockBackend['list'];
      const locks = new Locks(changed(memory({ server: rig.server }), { list }), { clock: rig.clock });
      for await (const { key } of locks.list()) {
        expect(key).toBe('k');
        break;
      }
      expect(left).toBe(1);
      await locks.stop();
    }
  });

  it('[32] a forceRelease whose reply is lost is noticed by the holder all the same', async () => {
    const rig = setUp({ plan: { method: 'evict', call: 1, fault: 'after' } });
    const lease = await rig.locks.acquire('k', { ttl: '1h' });
    const { signal } = lease;
    await rig.failure(0, rig.locks.forceRelease('k'));
    await rig.clock.settle();
    expect(signal.aborted).toBe(true);
    expect(count(rig.backend, 'renew')).toBe(1);
  });
});
