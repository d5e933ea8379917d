import { getEventListeners } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { isGrant, type Grant, type LockBackend, type Place } from '../../lib/backends/lock-backend.js';
import { memory } from '../../lib/backends/memory/index.js';
import { LockTimeoutError } from '../../lib/core/errors.js';
import type { Lease } from '../../lib/core/lease.js';
import { Locks } from '../../lib/core/locks.js';
import { FAULTS } from '../../lib/testing/faulty-backend.js';
import { deaf } from '../support/deaf.js';
import { changed, count, PATIENCE_MS, Rig, setUp, type Watched } from '../support/rig.js';

/** The same backend, but for what its places do with the callback for hints. */
function hinting(inner: LockBackend, onHint: () => unknown): LockBackend {
  const changedPlace = (answer: Grant | Place): Grant | Place =>
    isGrant(answer)
      ? answer
      : { busy: answer.busy, onHint, retry: async () => changedPlace(await answer.retry()) };
  return changed(inner, { claim: async (claim) => changedPlace(await inner.claim(claim)) });
}

/** Of each key with which somebody has business. */
function linesOf(locks: Locks): ReadonlyMap<string, unknown> {
  return (locks as unknown as { acquirer: { lines: { byKey: Map<string, unknown> } } }).acquirer.lines.byKey;
}

describe('waiting', () => {
  it.each([1, 10, 70, 1_000, 12_345])('[9] a wait of %i ms is kept', async (wait) => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k');
    const startMs = rig.clock.now();
    const refused = rig.watch(rig.replica().locks.acquire('k', { wait }));
    const local = rig.watch(rig.locks.acquire('k', { wait }));
    const behind = rig.watch(rig.locks.acquire('k', { wait }));
    await rig.clock.advance(wait + 300);
    for (const { atMs, error } of [refused, local, behind]) {
      expect(error).toBeInstanceOf(LockTimeoutError);
      expect(atMs - startMs).toBeGreaterThanOrEqual(wait);
      expect(atMs - startMs).toBeLessThanOrEqual(wait + 50);
    }
    expect(await lease.release()).toBe(true);
  });

  it('[9] says how long it was, who was in the way, and what to do', async () => {
    const rig = setUp({ identity: 'web-1' });
    const lease = await rig.locks.acquire('k');
    const refused = rig.watch(rig.locks.acquire('k', { wait: '2s' }));
    const behind = rig.watch(rig.locks.acquire('k', { wait: '1s' }));
    await rig.clock.advance(2_100);
    expect(refused.error).toMatchObject({
      message: expect.stringMatching(
        /^Could not lock "k" within 2000 ms: it is held by web-1 \(lease: \d+ ms more, unless renewed\)\. Give more time with wait, or handle this refusal with onBusy\.$/,
      ),
      key: 'k',
      waitedMs: 2_000,
      holder: expect.stringMatching(/^web-1~/),
    });
    // those behind the head of our own line know what it was told
    expect(behind.error).toMatchObject({
      message: expect.stringMatching(/^Could not lock "k" within 1000 ms: it is held by web-1 /),
    });
    await lease.release();
  });

  it('[9] a wait without end ends when the key is freed', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k', { ttl: '24h' });
    const waiting = rig.watch(rig.replica().locks.acquire('k', { wait: Infinity }));
    await rig.clock.advance(40 * 60_000);
    expect(waiting.settled).toBe(false);
    const freedMs = rig.clock.now();
    await lease.release();
    await rig.clock.settle();
    expect(waiting.atMs).toBe(freedMs);
    await waiting.value?.release();
  });

  it('[10] a signal that is aborted beforehand: nothing is sent, and nothing is kept', async () => {
    const rig = setUp();
    await rig.locks.start();
    const calls = rig.backend.calls.length;
    const reason = new Error('the request is over');
    const signal = AbortSignal.abort(reason);
    expect(await rig.failure(0, rig.locks.acquire('k', { signal }))).toBe(reason);
    expect(await rig.failure(0, rig.locks.tryAcquire('k', { signal }))).toBe(reason);
    expect(
      await rig.failure(
        0,
        rig.locks.using(['a', 'b'], { signal }, () => 1),
      ),
    ).toBe(reason);
    expect(rig.backend.calls).toHaveLength(calls);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    expect(linesOf(rig.locks).size).toBe(0);
  });

  it('of the keys that nobody wants any more, one is remembered', async () => {
    const rig = setUp();
    const keys = Array.from({ length: 20 }, (_, index) => `k${index}`);
    const leases = await Promise.all(keys.map((key) => rig.locks.acquire(key)));
    expect(linesOf(rig.locks).size).toBe(20);
    for (const lease of leases) await lease.release();
    for (const key of ['k3', 'k3', 'k4', 'k3']) await (await rig.locks.acquire(key)).release();
    expect([...linesOf(rig.locks).keys()]).toEqual(['interlock:k3']);
  });

  it('what went wrong with a key is forgotten with the last who wanted it', async () => {
    const rig = setUp();
    rig.backend.plan = ({ method }) => (method === 'claim' ? 'before' : undefined);
    await rig.failure(500, rig.locks.acquire('k', { wait: 100 }));
    const lease = await rig.replica().locks.acquire('k');
    rig.backend.plan = ({ method }) => (method === 'claim' ? 'hang' : undefined);
    const head = rig.watch(rig.locks.acquire('k'));
    const behind = await rig.failure(300, rig.locks.acquire('k', { wait: 100 }));
    expect(behind).toBeInstanceOf(LockTimeoutError);
    rig.backend.plan = [];
    await lease.release();
    await rig.clock.advance(3_000);
    expect(await head.value?.release()).toBe(true);
  });

  it.each(['the head of the line', 'behind the head'])(
    '[10] aborted while waiting, %s: prompt, and without a trace',
    async (where) => {
      const rig = setUp();
      const holder = rig.replica();
      const lease = await holder.locks.acquire('k');
      const head = where === 'behind the head' ? rig.watch(rig.locks.acquire('k')) : undefined;
      await rig.clock.advance(20);
      const abort = new AbortController();
      const reason = new Error('the request is over');
      const waiting = rig.watch(rig.locks.acquire('k', { signal: abort.signal, wait: Infinity }));
      await rig.clock.advance(700);
      expect(getEventListeners(abort.signal, 'abort')).toHaveLength(1);
      const timers = rig.clock.pendingTimers;
      const abortedMs = rig.clock.now();
      abort.abort(reason);
      await rig.clock.settle();
      expect([waiting.error, waiting.atMs]).toEqual([reason, abortedMs]);
      expect(getEventListeners(abort.signal, 'abort')).toEqual([]);
      expect(rig.clock.pendingTimers).toBeLessThanOrEqual(timers);
      expect((await holder.locks.inspect('k'))?.waiting).toBe(head ? 1 : 0);
      expect(rig.locks.gauges.waiting).toBe(head ? 1 : 0);
      await lease.release();
      await rig.clock.settle();
      expect(head?.settled).toBe(head && true);
      await head?.value?.release();
    },
  );

  it('[10] no listener stays on a signal after a grant, a refusal or a failure', async () => {
    const rig = setUp();
    const { signal } = new AbortController();
    const lease = await rig.locks.acquire('k', { signal });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    await rig.failure(500, rig.locks.acquire('k', { signal, wait: 100 }));
    rig.backend.plan = ({ method }) => (method === 'claim' ? 'before' : undefined);
    await rig.failure(500, rig.locks.acquire('j', { signal, wait: 100 }));
    await rig.failure(500, rig.locks.tryAcquire('j', { signal }));
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    expect(await lease.release()).toBe(true);
  });

  it('[10] aborted while the service is starting: prompt too', async () => {
    const rig = setUp({ plan: { method: 'start', call: 1, fault: 'hang' } });
    const abort = new AbortController();
    const waiting = rig.watch(rig.locks.acquire('k', { signal: abort.signal }));
    await rig.clock.advance(100);
    const abortedMs = rig.clock.now();
    abort.abort();
    await rig.clock.advance(50);
    expect(waiting.atMs).toBe(abortedMs);
    expect(getEventListeners(abort.signal, 'abort')).toEqual([]);
    await rig.clock.advance(20_000);
  });

  it.each([0, 30, 300])(
    '[9] a service that does not start costs no more than the wait: %i ms',
    async (wait) => {
      const rig = setUp({ plan: { method: 'start', call: 1, fault: 'hang' } });
      const startMs = rig.clock.now();
      const waiting = rig.watch(rig.locks.acquire('k', { wait }));
      await rig.clock.advance(2_000);
      expect(waiting.atMs - startMs).toBeLessThanOrEqual((wait || 1_000) + PATIENCE_MS);
      expect(waiting.error).toMatchObject({
        name: 'LockUnavailableError',
        key: 'k',
        message: expect.stringMatching(
          /^Could not lock "k": the lock service has not started within \d+ ms\./,
        ),
      });
      await rig.clock.advance(20_000);
    },
  );

  it('[9] what the start took is taken from the wait', async () => {
    const rig = setUp({
      between: (inner) =>
        changed(inner, {
          start: async (context: Parameters<LockBackend['start']>[0]) => {
            await rig.sleep(200);
            return inner.start(context);
          },
        }),
    });
    const lease = await rig.replica().locks.acquire('k');
    const startMs = rig.clock.now();
    const waiting = rig.watch(rig.locks.acquire('k', { wait: 300 }));
    await rig.clock.advance(2_000);
    expect(waiting.atMs - startMs).toBe(300);
    expect(waiting.error).toBeInstanceOf(LockTimeoutError);
    await lease.release();
  });

  it('[10, 24] one signal may end many waits, without a warning and without a call for each', async () => {
    const rig = setUp();
    const lease = await rig.replica().locks.acquire('k');
    const abort = new AbortController();
    const waiting = Array.from({ length: 1_000 }, () =>
      rig.watch(rig.locks.acquire('k', { signal: abort.signal })),
    );
    await rig.clock.advance(20);
    // Node warns of a leak from the eleventh on
    expect(getEventListeners(abort.signal, 'abort').length).toBeLessThanOrEqual(10);
    const before = rig.backend.calls.length;
    abort.abort();
    await rig.clock.settle();
    expect(waiting.every(({ error }) => error === abort.signal.reason)).toBe(true);
    expect(rig.backend.calls.length - before).toBeLessThanOrEqual(3);
    expect(await lease.release()).toBe(true);
  });

  it('[12] a release between the failed try and the start of listening is not missed', async () => {
    const held: Lease[] = [];
    const rig = setUp({
      between: (inner) =>
        changed(inner, {
          claim: async (claim: Parameters<LockBackend['claim']>[0]) => {
            const answer = await inner.claim(claim);
            // now the answer is on its way
            await held.pop()?.release();
            return answer;
          },
        }),
    });
    const holder = rig.replica();
    held.push(await holder.locks.acquire('k'));
    const startMs = rig.clock.now();
    const waiting = rig.watch(rig.locks.acquire('k'));
    await rig.clock.settle();
    expect(waiting.atMs).toBe(startMs);
    await waiting.value?.release();
  });

  it('[12] nor is one that is hinted while an older answer is on its way', async () => {
    let retries = 0;
    let hint: (() => void) | undefined;
    const rig = setUp({
      between: (inner) =>
        changed(inner, {
          // it asks by itself then
          stay: undefined as never,
          claim: async (claim) => {
            const answer = await inner.claim(claim);
            if ('fence' in answer) return answer;
            // each hint is given once, to whoever listens in that moment
            answer.onHint(() => hint?.());
            const onHint = (wake: () => void): void => {
              hint = wake;
            };
            const retry = async (): Promise<Grant | Place> => {
              const stale = await answer.retry();
              // the first answer is on its way for a while
              if (++retries === 1) await rig.sleep(100);
              return 'fence' in stale ? stale : { busy: stale.busy, onHint, retry };
            };
            return { busy: answer.busy, onHint, retry };
          },
        }),
    });
    const lease = await rig.replica().locks.acquire('k');
    const waiting = rig.watch(rig.locks.acquire('k'));
    const { pollMs } = rig.backend.traits;
    await rig.clock.advance(pollMs + 50);
    expect(retries).toBe(1);
    await lease.release();
    const freedMs = rig.clock.now();
    await rig.clock.advance(1_000);
    expect(waiting.atMs - freedMs).toBe(50);
    await waiting.value?.release();
  });

  it.each([
    ['timeout', 'same service'],
    ['timeout', 'another service'],
    ['abort', 'same service'],
    ['abort', 'another service'],
  ])("[13] one waiter's %s does not deafen the others: %s", async (how, where) => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k');
    const abort = new AbortController();
    const impatient = where === 'same service' ? rig : rig.replica();
    const leaver = rig.watch(
      impatient.locks.acquire('k', how === 'abort' ? { signal: abort.signal } : { wait: 100 }),
    );
    await rig.clock.advance(10);
    const others = [rig, rig.replica()].map(({ locks }) => rig.watch(locks.acquire('k', { wait: '20s' })));
    await rig.clock.advance(90);
    abort.abort();
    await rig.clock.advance(10);
    expect(leaver.error).toBeDefined();
    const freedMs = rig.clock.now();
    await lease.release();
    await rig.clock.settle();
    const [first] = others.filter(({ settled }) => settled);
    expect(first?.atMs).toBe(freedMs);
    await first?.value?.release();
    await rig.clock.settle();
    expect(others.map(({ atMs }) => atMs)).toEqual([freedMs, freedMs]);
    for (const other of others) if (other !== first) await other.value?.release();
  });

  it('[14] without any hint, waiters have the key within a poll', async () => {
    const rig = setUp();
    const waiter = rig.replica({ between: deaf });
    const lease = await rig.locks.acquire('k');
    const waiting = rig.watch(waiter.locks.acquire('k'));
    await rig.clock.advance(1_250);
    const freedMs = rig.clock.now();
    await lease.release();
    await rig.clock.advance(1_000);
    expect(waiting.atMs - freedMs).toBeLessThanOrEqual(rig.backend.traits.pollMs);
    await waiting.value?.release();
  });

  it('a hint is never trusted: spurious ones change nothing, and are no hot loop', async () => {
    const hints: (() => void)[] = [];
    const rig = setUp();
    const waiter = rig.replica({
      between: (inner) =>
        changed(inner, {
          claim: async (claim: Parameters<LockBackend['claim']>[0]) => {
            const answer = await inner.claim(claim);
            if ('fence' in answer) return answer;
            return {
              busy: answer.busy,
              retry: () => answer.retry(),
              onHint: (wake: () => void) => {
                hints.push(wake);
                answer.onHint(wake);
              },
            };
          },
        }),
    });
    const lease = await rig.locks.acquire('k');
    const waiting = rig.watch(waiter.locks.acquire('k'));
    await rig.clock.settle();
    for (let n = 0; n < 100; n++) for (const wake of hints) wake();
    await rig.clock.settle();
    expect(waiting.settled).toBe(false);
    // one that was in flight, and one for all hints that came meanwhile
    expect(count(waiter.backend, 'retry')).toBeLessThanOrEqual(2);
    await lease.release();
    await rig.clock.settle();
    expect(waiting.settled).toBe(true);
    for (const wake of hints) wake();
    await waiting.value?.release();
    for (const wake of hints) wake();
    await rig.clock.settle();
    expect(waiter.locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
  });

  it('[15] 10,000 who wait in one service cost the server one place, and O(1) calls a hand-off', async () => {
    const rig = setUp();
    const holder = rig.replica();
    const lease = await holder.locks.acquire('k', { ttl: '1h' });
    const waiting: Watched<Lease>[] = [];
    for (let n = 0; n < 10_000; n++) waiting.push(rig.watch(rig.locks.acquire('k', { wait: Infinity })));
    await rig.clock.advance(20);
    expect(await holder.locks.inspect('k')).toMatchObject({ waiting: 1 });
    expect(rig.locks.gauges.waiting).toBe(10_000);
    expect(count(rig.backend, 'claim')).toBe(1);
    await lease.release();
    await rig.clock.settle();
    const before = rig.backend.calls.length;
    for (let n = 0; n < 500; n++) {
      expect(waiting[n]?.settled).toBe(true);
      expect(waiting[n + 1]?.settled).toBe(false);
      await waiting[n]?.value?.release();
      await rig.clock.settle();
    }
    expect(rig.backend.calls.length - before).toBeLessThanOrEqual(500 * 2);
    // those who stay give up, without a call for each of them
    const calls = rig.backend.calls.length;
    const stopped = rig.locks.stop();
    await rig.within(10, stopped);
    expect(rig.backend.calls.length - calls).toBeLessThanOrEqual(5);
    await rig.clock.settle();
    expect(waiting.every(({ settled }) => settled)).toBe(true);
  });

  it('[15] 10,000 who time out together do not all ask the server for it', async () => {
    const rig = setUp();
    const holder = rig.replica();
    const lease = await holder.locks.acquire('k');
    const first = rig.watch(rig.locks.acquire('k', { wait: 500 }));
    await rig.clock.advance(1);
    const waiting = Array.from({ length: 10_000 }, () => rig.watch(rig.locks.acquire('k', { wait: 500 })));
    await rig.clock.advance(10);
    const before = rig.backend.calls.length;
    await rig.clock.advance(700);
    expect([first, ...waiting].every(({ error }) => error instanceof LockTimeoutError)).toBe(true);
    expect(rig.backend.calls.length - before).toBeLessThanOrEqual(20);
    await lease.release();
  });

  it('[15] a hand-off inside one service is two calls: the release, and the next claim right behind it', async () => {
    const rig = setUp();
    const first = await rig.locks.acquire('k');
    const [next, last] = [rig.watch(rig.locks.acquire('k')), rig.watch(rig.locks.acquire('k'))];
    await first.release();
    await rig.clock.settle();
    const before = rig.backend.calls.length;
    // the work is done sooner than a place in the line would pay off
    await next.value?.release();
    await rig.clock.settle();
    expect(last.settled).toBe(true);
    expect(rig.backend.calls.slice(before).map(({ method }) => method)).toEqual(['release', 'claim']);
    await last.value?.release();
  });

  it('[36] first come, first served inside a service, over 1,000 hand-offs', async () => {
    const rig = setUp();
    const order: number[] = [];
    const work = Array.from({ length: 1_000 }, (_, n) =>
      rig.locks.using('k', { wait: Infinity }, async () => {
        order.push(n);
        if (n % 7 === 0) await rig.sleep(2);
      }),
    );
    await rig.within(5_000, Promise.all(work));
    expect(order).toEqual(Array.from({ length: 1_000 }, (_, n) => n));
  });

  it('[36] across services nobody is overtaken more than once by each of the others', async () => {
    const rig = setUp();
    const replicas = [rig, rig.replica(), rig.replica(), rig.replica()];
    const order: number[] = [];
    const lease = await rig.replica().locks.acquire('k');
    const work: Promise<unknown>[] = [];
    for (let n = 0; n < 100; n++) {
      const { locks } = replicas[n % 4]!;
      work.push(locks.using('k', { wait: Infinity }, () => void order.push(n)));
      await rig.clock.advance(3);
    }
    await lease.release();
    await rig.within(5_000, Promise.all(work));
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, n) => n));
    order.forEach((n, index) => expect(Math.abs(n - index)).toBeLessThanOrEqual(4));
  });

  it('[37] a dead head of the line is skipped within a second of its last sign of life', async () => {
    const rig = setUp();
    const dead = rig.replica();
    const lease = await rig.locks.acquire('k');
    const ghost = rig.watch(dead.locks.acquire('k', { wait: Infinity }));
    await rig.clock.advance(50);
    const waiting = rig.watch(rig.replica().locks.acquire('k', { wait: Infinity }));
    await rig.clock.advance(100);
    dead.backend.plan = () => 'hang';
    const diedMs = rig.clock.now();
    await lease.release();
    await rig.clock.advance(2_000);
    expect(ghost.settled).toBe(false);
    expect(waiting.atMs - diedMs).toBeLessThanOrEqual(1_010);
    await waiting.value?.release();
    // it is not dead after all
    dead.backend.plan = [];
    await rig.clock.advance(5_000);
    expect(ghost.settled).toBe(true);
    await ghost.value?.release();
  });

  it('[38] taking the key again at once starves nobody', async () => {
    const rig = setUp();
    const replicas = [rig, rig.replica(), rig.replica()];
    const turns = [0, 0, 0];
    const endMs = rig.clock.now() + 3_000;
    const greedy = replicas.map(async ({ locks }, index) => {
      while (rig.clock.now() < endMs) {
        await locks.using('k', { wait: Infinity }, async () => {
          turns[index]!++;
          await rig.sleep(3);
        });
      }
    });
    await rig.clock.advance(3_000);
    await rig.within(1_000, Promise.all(greedy));
    expect(Math.min(...turns)).toBeGreaterThan(200);
    expect(Math.max(...turns) / Math.min(...turns)).toBeLessThanOrEqual(1.5);
  });

  it.each(FAULTS)(
    'a server that fails for a while (%s) costs a waiter nothing but that time',
    async (fault) => {
      const rig = setUp({ callTimeout: 500 });
      const lease = await rig.replica().locks.acquire('k', { ttl: '1h' });
      const waiting = rig.watch(rig.locks.acquire('k', { wait: '1m' }));
      await rig.clock.advance(1_000);
      rig.backend.plan = () => fault;
      await rig.clock.advance(10_000);
      expect(waiting.settled).toBe(false);
      rig.backend.plan = [];
      const healedMs = rig.clock.now();
      await lease.release();
      await rig.clock.advance(3_000);
      expect(waiting.atMs - healedMs).toBeLessThanOrEqual(2_000);
      await waiting.value?.release();
    },
  );

  it.each(FAULTS)(
    '[9] a server that fails all the time (%s): refused in time, and with the reason',
    async (fault) => {
      const rig = setUp();
      await rig.locks.start();
      rig.backend.plan = () => fault;
      for (const wait of [0, 30, 500, 3_000]) {
        const startMs = rig.clock.now();
        const refused = rig.watch(rig.locks.acquire('k', { wait }));
        await rig.clock.advance(5_000);
        expect(refused.error).toMatchObject({ name: 'LockUnavailableError', key: 'k' });
        const deadlineMs = wait === 0 ? 1_000 : wait;
        expect(refused.atMs - startMs).toBeLessThanOrEqual(deadlineMs + PATIENCE_MS);
      }
      await rig.clock.advance(40_000);
      expect(rig.locks.gauges.owed).toBe(0);
    },
  );

  it('[24] rubbish for an answer to a claim is an unknown outcome, and harms nobody', async () => {
    const halfAPlace = {
      busy: {},
      retry: () => Promise.reject(new Error('never asked')),
      onHint: () => undefined,
    };
    const answers = [undefined, null, 'granted', 42, [], {}, { busy: {} }, { ...halfAPlace, fence: 1 }];
    for (const rubbish of [
      ...answers,
      { fence: 1n },
      { fence: 1n, claim: {} },
      { fence: 1n, sentAtMs: 1e9 },
    ]) {
      const rig = new Rig();
      const backend = changed(memory({ server: rig.server }), {
        claim: async () => rubbish as unknown as Grant,
      });
      const locks = new Locks(backend, { clock: rig.clock });
      const refused = rig.watch(locks.acquire('k', { wait: 300 }));
      const tried = rig.watch(locks.tryAcquire('k'));
      await rig.clock.advance(600);
      await locks.stop();
      expect(refused.error).toMatchObject({ name: 'LockUnavailableError' });
      expect(tried.error).toMatchObject({ name: 'LockUnavailableError' });
    }
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new TypeError('no hands');
      },
    ],
    ['brings no grant', () => 'yours'],
    ['brings one without a fence', () => ({ claim: { ttlMs: 1 }, sentAtMs: 0 })],
  ])('[24] a lock that is to come with a hint, which %s, is asked for', async (_, takeOver) => {
    const rig = setUp();
    const inner = memory({ server: rig.server });
    const backend = changed(inner, {
      claim: async (claim) => {
        const answer = await inner.claim(claim);
        return isGrant(answer) ? answer : Object.assign(answer, { takeOver });
      },
    });
    const locks = new Locks(backend, { clock: rig.clock });
    const lease = await rig.locks.acquire('k', { ttl: '1m' });
    const waiting = rig.watch(locks.acquire('k', { wait: Infinity }));
    await rig.clock.advance(2_000);
    expect(waiting.settled).toBe(false);
    await lease.release();
    await rig.clock.advance(1_000);
    expect(waiting.value?.held).toBe(true);
    await waiting.value?.release();
    await locks.stop();
  });

  describe.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new TypeError('no ears');
      },
    ],
    ['rejects', () => Promise.reject(new TypeError('no ears'))],
  ])('[24] a place that %s when it is given the callback for hints', (_, onHint) => {
    it('is polled, not too often, and gets the key when it is free', async () => {
      const rig = setUp();
      const { locks, backend } = rig.replica({ between: (inner) => hinting(inner, onHint) });
      const lease = await rig.locks.acquire('k', { ttl: '1m' });
      const waiters = ['k', 'k'].map((key) => rig.watch(locks.acquire(key, { wait: Infinity })));
      await rig.clock.advance(20_000);
      // nobody polls more often than four times a second, but at the beginning
      expect(count(backend, 'claim', 'retry', 'stay')).toBeLessThan(90);
      await lease.release();
      for (const waiter of waiters) {
        await rig.clock.advance(1_000);
        expect(waiter.value?.held).toBe(true);
        await waiter.value?.release();
      }
    });

    it('ends with a typed error when its wait is over', async () => {
      const rig = setUp();
      const { locks } = rig.replica({ between: (inner) => hinting(inner, onHint) });
      const lease = await rig.locks.acquire('k');
      const refused = rig.watch(locks.acquire('k', { wait: '2s' }));
      await rig.clock.advance(2_000 + PATIENCE_MS);
      expect(refused.error).toMatchObject({
        name: expect.stringMatching(/^Lock(Timeout|Unavailable)Error$/),
      });
      await lease.release();
    });
  });

  it.each(['when it is given the callback', 'while it is asked'])(
    '[18] a place that hints %s each time is asked again, but does not hold up the process',
    async (when) => {
      let asked = 0;
      let hint = (): void => undefined;
      const place: Place = {
        busy: {},
        onHint: (wake) => {
          hint = wake;
          if (when === 'when it is given the callback') wake();
        },
        retry: async () => {
          // without an end the test would not end either
          if (++asked > 10_000) throw new Error('asked too often');
          if (when === 'while it is asked') hint();
          return place;
        },
      };
      const rig = setUp({ between: (inner) => changed(inner, { claim: () => Promise.resolve(place) }) });
      const refused = rig.watch(rig.locks.acquire('k', { wait: '1s' }));
      await rig.clock.advance(1_100);
      expect(asked).toBeGreaterThan(5);
      expect(refused.error).toMatchObject({ name: 'LockTimeoutError' });
      // 200 times a second are as often as anybody is asked without a reason
      expect(asked).toBeLessThan(250);
    },
  );

  it('[18] an expiry that is no number is no reason to ask again and again', async () => {
    let asked = 0;
    const place: Place = {
      busy: { expiresInMs: NaN },
      onHint: () => undefined,
      // without an end the test would not end either
      retry: () => (++asked > 1_000 ? Promise.reject(new Error('asked too often')) : Promise.resolve(place)),
    };
    const rig = setUp({ between: (inner) => changed(inner, { claim: () => Promise.resolve(place) }) });
    const refused = rig.watch(rig.locks.acquire('k', { wait: '3s' }));
    await rig.clock.advance(3_000);
    expect(refused.error).toMatchObject({ name: 'LockTimeoutError' });
    // a second has about three polls
    expect(asked).toBeLessThanOrEqual(10);
  });
});
