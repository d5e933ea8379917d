import { describe, expect, it } from '@jest/globals';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { FAULTS } from '../../lib/testing/faulty-backend.js';
import { deaf } from '../support/deaf.js';
import { changed, count, got, Rig, setUp, type Replica } from '../support/rig.js';

const KEYS = 50;
const POLL_MS = 300;

describe('signs of life', () => {
  it('[15] of all who wait in a process are one call a poll, on however many keys', async () => {
    const rig = new Rig();
    const [holder, waiter] = [rig.replica(), rig.replica()];
    const leases = [];
    for (let n = 0; n < KEYS; n++) leases.push(await got(holder.locks.tryAcquire(`k${n}`)));
    const waiting = leases.map((_, n) => rig.watch(waiter.locks.acquire(`k${n}`, { wait: '1m' })));
    await rig.clock.advance(30_000);
    expect(waiting.some(({ settled }) => settled)).toBe(false);
    expect(count(waiter.backend, 'stay')).toBeLessThanOrEqual(30_000 / POLL_MS);
    expect(count(waiter.backend, 'stay')).toBeGreaterThan(30_000 / POLL_MS / 2);
    // each learns anew who is in its way every ten polls
    expect(count(waiter.backend, 'retry')).toBeLessThanOrEqual((KEYS * 30_000) / POLL_MS / 10);
    for (let n = 0; n < KEYS; n++) expect((await holder.locks.inspect(`k${n}`))?.waiting).toBe(1);
    for (const lease of leases) await lease.release();
    await rig.clock.settle();
    for (const one of waiting) await one.value?.release();
    expect(waiting.every(({ settled }) => settled)).toBe(true);
  });

  it('keep the order of the line, however long it stands', async () => {
    const rig = new Rig();
    const replicas = Array.from({ length: 5 }, () => rig.replica());
    const lease = await got(rig.replica().locks.tryAcquire('k'));
    const served: number[] = [];
    const turns = [];
    for (const [n, { locks }] of replicas.entries()) {
      turns.push(locks.using('k', { wait: '1m' }, async () => void served.push(n)));
      await rig.clock.advance(70);
    }
    await rig.clock.advance(20_000);
    await lease.release();
    await rig.within(1_000, Promise.all(turns));
    expect(served).toEqual([0, 1, 2, 3, 4]);
  });

  it.each(FAULTS)('[14] that fail (%s) leave everybody to ask by himself', async (fault) => {
    const rig = new Rig();
    const lease = await got(rig.replica().locks.tryAcquire('k'));
    const waiter = rig.replica({
      between: deaf,
      plan: ({ method }) => (method === 'stay' ? fault : undefined),
      callTimeout: 200,
    });
    const waiting = rig.watch(waiter.locks.acquire('k', { wait: '1m' }));
    await rig.clock.advance(5_000);
    await lease.release();
    const freedMs = rig.clock.now();
    await rig.clock.advance(2_000);
    expect(waiting.atMs - freedMs).toBeLessThanOrEqual(2 * POLL_MS + 200);
    await waiting.value?.release();
  });

  it.each([
    ['nothing', undefined],
    ['too little', []],
    ['rubbish', 'yes'],
  ])('that are answered with %s leave everybody to ask by himself', async (_, answer) => {
    const rig = new Rig();
    const lease = await got(rig.replica().locks.tryAcquire('k'));
    const waiter = rig.replica({
      between: (inner) => changed(deaf(inner), { stay: async () => answer as never }),
    });
    const waiting = rig.watch(waiter.locks.acquire('k', { wait: '1m' }));
    await rig.clock.advance(5_000);
    await lease.release();
    const freedMs = rig.clock.now();
    await rig.clock.advance(2_000);
    expect(waiting.atMs - freedMs).toBeLessThanOrEqual(POLL_MS);
    await waiting.value?.release();
  });

  it('rest through an outage, in which everybody asks once a second', async () => {
    const rig = new Rig();
    const lease = await got(rig.replica().locks.tryAcquire('k'));
    let isOut = false;
    const waiter = rig.replica({ plan: () => (isOut ? 'before' : undefined) });
    const waiting = rig.watch(waiter.locks.acquire('k', { wait: '1m' }));
    await rig.clock.advance(1_000);
    isOut = true;
    const calls = waiter.backend.calls.length;
    await rig.clock.advance(20_000);
    // the first ones come sooner: the pause doubles up to a second
    expect(waiter.backend.calls.length - calls).toBeLessThanOrEqual(20 + 6);
    expect(waiter.backend.calls.length - calls).toBeGreaterThanOrEqual(20);
    isOut = false;
    await lease.release();
    await rig.clock.advance(1_000);
    await waiting.value?.release();
    expect(waiting.settled).toBe(true);
  });

  it('[37] of the living do not keep the dead in the line: the next has the key within a second', async () => {
    const rig = new Rig();
    const lease = await got(rig.replica().locks.tryAcquire('k'));
    const dead = rig.replica({ plan: ({ method, n }) => (n > 2 && method !== 'stop' ? 'hang' : undefined) });
    const dying = rig.watch(dead.locks.acquire('k', { wait: '1m' }));
    await rig.clock.advance(10);
    const next = rig.watch(rig.replica().locks.acquire('k', { wait: '1m' }));
    await rig.clock.advance(100);
    const freedMs = rig.clock.now();
    await lease.release();
    await rig.clock.advance(5_000);
    expect(next.atMs - freedMs).toBeLessThanOrEqual(1_000);
    await next.value?.release();
    expect(dying.settled).toBe(false);
  });

  it('end with the waiting', async () => {
    const rig = setUp();
    const lease = await got(rig.replica().locks.tryAcquire('k'));
    const waiting = rig.locks.acquire('k', { wait: '1s' });
    await rig.failure(1_100, waiting);
    const calls = count(rig.backend, 'stay');
    await rig.clock.advance(10_000);
    expect(count(rig.backend, 'stay')).toBe(calls);
    await lease.release();
  });

  it('are shown by each for himself where the backend knows no other way', async () => {
    const rig = new Rig();
    const lease = await got(rig.replica().locks.tryAcquire('k'));
    const without = (inner: LockBackend): LockBackend =>
      Object.assign(Object.create(inner) as LockBackend, { stay: undefined });
    const waiter: Replica = rig.replica({ between: without });
    const waiting = rig.watch(waiter.locks.acquire('k', { wait: '1m' }));
    await rig.clock.advance(3_000);
    expect(count(waiter.backend, 'retry')).toBeGreaterThanOrEqual(3_000 / POLL_MS - 1);
    expect(count(waiter.backend, 'stay')).toBe(0);
    await lease.release();
    await rig.clock.settle();
    await waiting.value?.release();
    expect(waiting.settled).toBe(true);
  });
});
