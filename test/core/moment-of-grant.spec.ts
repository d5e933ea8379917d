import { getEventListeners } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import type { Lease } from '../../lib/core/lease.js';
import { changed, Rig, type RigOptions } from '../support/rig.js';

/** An answer that takes a few steps more than those of the memory backend, so that more lies in between. */
function slowly(steps: number): (inner: LockBackend) => LockBackend {
  const late = async <T>(promise: Promise<T>): Promise<T> => {
    const value = await promise;
    for (let step = 0; step < steps; step++) await Promise.resolve();
    return value;
  };
  return (inner) =>
    changed(inner, {
      claim: async (claim) => {
        const answer = await late(inner.claim(claim));
        if ('fence' in answer) return answer;
        return {
          busy: answer.busy,
          onHint: (wake: () => void) => answer.onHint(wake),
          retry: () => late(answer.retry()),
        };
      },
      release: (grant, lingerMs) => late(inner.release(grant, lingerMs)),
      abandon: (claim) => late(inner.abandon(claim)),
    });
}

const STEPS = 40;

/** Runs a scenario once for each step, so that something happens at every point in it. */
async function sweep(run: (rig: Rig, wait: () => Promise<void>) => Promise<void>): Promise<void> {
  for (let steps = 0; steps < STEPS; steps++) {
    const rig = new Rig();
    await run(rig, async () => {
      for (let step = 0; step < steps; step++) await Promise.resolve();
    });
    await rig.clock.settle();
  }
}

const options: RigOptions = { between: slowly(3) };

describe('the very moment of the grant', () => {
  it('[11] an abort at any step of a first claim: held, or given back', async () => {
    const outcomes = new Set<string>();
    await sweep(async (rig, wait) => {
      const { locks } = rig.replica(options);
      const abort = new AbortController();
      await locks.start();
      const acquiring = rig.watch(locks.acquire('k', { signal: abort.signal }));
      await wait();
      abort.abort();
      await rig.clock.settle();
      await check(rig, acquiring.value, outcomes);
      if (!acquiring.value) expect(acquiring.error).toBe(abort.signal.reason);
      expect(getEventListeners(abort.signal, 'abort')).toEqual([]);
    });
    expect(outcomes).toEqual(new Set(['held', 'free']));
  });

  it('[11] an abort at any step of a hand-off: held, or given back', async () => {
    for (const where of ['same', 'other']) {
      const outcomes = new Set<string>();
      await sweep(async (rig, wait) => {
        const { locks } = rig.replica(options);
        const holder = where === 'same' ? { locks } : rig.replica(options);
        const lease = await holder.locks.acquire('k');
        const abort = new AbortController();
        const acquiring = rig.watch(locks.acquire('k', { signal: abort.signal }));
        await rig.clock.advance(20);
        void lease.release();
        await wait();
        abort.abort();
        await rig.clock.settle();
        await check(rig, acquiring.value, outcomes);
        if (!acquiring.value) expect(acquiring.error).toBe(abort.signal.reason);
      });
      expect(outcomes).toEqual(new Set(['held', 'free']));
    }
  });

  it('[11] a time-out at any millisecond of a hand-off: held, or given back', async () => {
    const outcomes = new Set<string>();
    for (let sooner = -5; sooner <= 30; sooner++) {
      const rig = new Rig();
      const latency = <T>(promise: Promise<T>): Promise<T> =>
        promise.then((value) => rig.sleep(5).then(() => value));
      const between = (inner: LockBackend): LockBackend =>
        changed(inner, {
          claim: async (claim) => {
            const answer = await latency(inner.claim(claim));
            if ('fence' in answer) return answer;
            return {
              busy: answer.busy,
              onHint: (wake: () => void) => answer.onHint(wake),
              retry: () => latency(answer.retry()),
            };
          },
          abandon: (claim) => latency(inner.abandon(claim)),
        });
      const { locks } = rig.replica({ between });
      const lease = await rig.replica().locks.acquire('k');
      const acquiring = rig.watch(locks.acquire('k', { wait: 100 }));
      await rig.clock.advance(100 - sooner);
      await lease.release();
      await rig.clock.advance(500);
      await check(rig, acquiring.value, outcomes);
    }
    expect(outcomes).toEqual(new Set(['held', 'free']));
  });

  it('[11] an abort at any step, with others behind: the next one has the key at once', async () => {
    await sweep(async (rig, wait) => {
      const { locks } = rig.replica(options);
      const other = rig.replica(options);
      const lease = await other.locks.acquire('k');
      const abort = new AbortController();
      const aborted = rig.watch(locks.acquire('k', { signal: abort.signal }));
      const behind = rig.watch(locks.acquire('k'));
      const remote = rig.watch(other.locks.acquire('k'));
      await rig.clock.advance(20);
      void lease.release();
      await wait();
      abort.abort();
      await rig.clock.settle();
      await aborted.value?.release();
      // the place behind is taken a moment after
      await rig.clock.advance(5);
      const [first, second] = behind.settled ? [behind, remote] : [remote, behind];
      expect(first.settled).toBe(true);
      await first.value?.release();
      await rig.clock.advance(5);
      expect(second.settled).toBe(true);
      await second.value?.release();
    });
  });

  it('[11, 32] an eviction at any step: lost and told, or held', async () => {
    await sweep(async (rig, wait) => {
      const { locks } = rig.replica(options);
      const other = rig.replica();
      await other.locks.start();
      await locks.start();
      const acquiring = rig.watch(locks.acquire('k', { ttl: '1h' }));
      await wait();
      await other.locks.forceRelease('k');
      await rig.clock.advance(1);
      const lease = acquiring.value as Lease;
      const snapshot = await other.locks.inspect('k');
      // told at the next renewal, when the eviction came before it was known here at all
      if (lease.held && !snapshot) await rig.clock.advance(20 * 60_000 + 1);
      expect(lease.held).toBe((await other.locks.inspect('k')) !== null);
      await lease.release();
    });
  });
});

async function check(rig: Rig, lease: Lease | undefined, outcomes: Set<string>): Promise<void> {
  const judge = rig.replica();
  const snapshot = await judge.locks.inspect('k');
  outcomes.add(lease ? 'held' : 'free');
  expect(snapshot?.holders.map(({ fence }) => fence) ?? []).toEqual(lease ? [lease.fence] : []);
  expect(snapshot?.waiting ?? 0).toBe(0);
  await lease?.release();
  expect(await judge.locks.inspect('k')).toBeNull();
}
