import { describe, expect, it } from '@jest/globals';
import { BackendError } from '../../lib/backends/backend-error.js';
import type { BackendContext, Grant, LockBackend } from '../../lib/backends/lock-backend.js';
import { LockError, LockLostError } from '../../lib/core/errors.js';
import type { HeldLease, Lease } from '../../lib/core/lease.js';
import { FAULTS } from '../../lib/testing/faulty-backend.js';
import { changed, count, setUp, type Replica, type Rig } from '../support/rig.js';

/** When the signal aborts, by the clock of the rig. */
function abortTime(rig: Rig, lease: Lease): { atMs: number | undefined; reason: unknown } {
  const { signal } = lease;
  const seen: { atMs: number | undefined; reason: unknown } = { atMs: undefined, reason: undefined };
  signal.addEventListener('abort', () => {
    expect(seen.atMs).toBeUndefined();
    seen.atMs = rig.clock.now();
    seen.reason = signal.reason;
  });
  return seen;
}

describe('a lease', () => {
  it('[17] without renewal it ends by itself, told by its signal before anybody else has the key', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k', { ttl: '1s', renew: false });
    const startMs = rig.clock.now();
    const told = abortTime(rig, lease);
    const next = rig.watch(rig.replica().locks.acquire('k'));
    await rig.clock.advance(2_000);
    expect(told.atMs! - startMs).toBe(988);
    expect(next.atMs).toBeGreaterThanOrEqual(told.atMs!);
    expect(told.reason).toEqual(
      new LockLostError(
        'The lock "k" (fence 1) was lost: no renewal was confirmed within its ttl of 1000 ms, so somebody else may hold it now. Stop the work it guards.',
        { key: 'k', reason: 'silent', fence: 1n },
      ),
    );
    expect(count(rig.backend, 'renew')).toBe(0);
    await next.value?.release();
  });

  it('[17] the keeper holds it for as long as it takes', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k', { ttl: '1s' });
    const other = rig.replica();
    for (let second = 0; second < 10; second++) {
      await rig.clock.advance(1_000);
      expect(await other.locks.tryAcquire('k')).toBeNull();
      lease.assertHeld();
      expect(lease.expiresInMs).toBeGreaterThan(600);
    }
    expect(await lease.release()).toBe(true);
  });

  it.each(FAULTS)('[20] one failed renewal (%s) and then a good one is not a loss', async (fault) => {
    const rig = setUp({ plan: { method: 'renew', call: 1, fault } });
    const lease = await rig.locks.acquire('k', { ttl: '1s' });
    const told = abortTime(rig, lease);
    await rig.clock.advance(3_000);
    expect(lease.held).toBe(true);
    expect(told.atMs).toBeUndefined();
    expect(await lease.release()).toBe(true);
  });

  it.each(['deleted', 'taken over'])(
    '[21] a key that was %s on the server: told within a renewal',
    async (how) => {
      const rig = setUp({
        between: (inner) =>
          // nobody tells: as when a key is deleted behind the back of all of us
          changed(inner, {
            start: (context: Parameters<typeof inner.start>[0]) =>
              inner.start({ ...context, doubt: () => undefined }),
          }),
      });
      const thief = rig.replica();
      const lease = await rig.locks.acquire('k', { ttl: '3s' });
      const told = abortTime(rig, lease);
      const startMs = rig.clock.now();
      await thief.locks.forceRelease('k');
      const stolen = how === 'taken over' ? await thief.locks.acquire('k') : undefined;
      await rig.clock.advance(1_100);
      expect(told.atMs! - startMs).toBeLessThanOrEqual(1_000);
      expect(told.reason).toMatchObject({ name: 'LockLostError', reason: 'gone', key: 'k' });
      expect(await lease.release()).toBe(false);
      expect(stolen?.held ?? true).toBe(true);
      await stolen?.release();
    },
  );

  it('[21] a backend that doubts a lease is believed nothing: a renewal finds out, at once', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k');
    const told = abortTime(rig, lease);
    const startMs = rig.clock.now();
    await rig.replica().locks.forceRelease('k');
    await rig.clock.settle();
    expect(told.atMs).toBe(startMs);
    expect(count(rig.backend, 'renew')).toBe(1);
  });

  /** A rig whose backend can be made to doubt everything, as after a reconnection. */
  function doubting(inspect?: LockBackend['inspect']): Rig & Replica & { doubt: () => void } {
    let doubt = (): void => undefined;
    const rig = setUp({
      between: (inner) =>
        changed(inner, {
          start: (context: BackendContext) => {
            doubt = () => context.doubt();
            return inner.start(context);
          },
          ...(inspect && { inspect }),
        }),
    });
    return Object.assign(rig, { doubt: () => doubt() });
  }

  it('[17, 21] a doubt finds out about a lease that nobody renews, and does not lengthen it', async () => {
    const rig = doubting();
    const { locks, clock } = rig;
    const lease = await locks.acquire('k', { renew: false, ttl: '10s' });
    const gone = await locks.acquire('gone', { renew: false, ttl: '10s' });
    for (let second = 1; second <= 9; second++) {
      await clock.advance(1_000);
      rig.doubt();
    }
    await clock.settle();
    expect(lease.expiresInMs).toBe(10_000 - 9_000 - 102);
    const snapshot = await locks.inspect('k');
    expect(snapshot?.holders[0]?.expiresInMs).toBe(1_000);
    rig.server.evict('interlock:gone');
    rig.doubt();
    await clock.settle();
    expect(gone.signal.reason).toMatchObject({ reason: 'gone' });
    await clock.advance(1_000);
    expect(lease.signal.reason).toMatchObject({ reason: 'silent' });
    expect(await locks.inspect('k')).toBeNull();
  });

  it('[22, 24] a look at a lease that nobody renews proves nothing when it fails, or answers rubbish', async () => {
    const answers: (() => unknown)[] = [
      () => Promise.reject(new BackendError('down', 'denied')),
      () => new Promise(() => {}),
      () => {
        throw new TypeError('broken');
      },
      ...[undefined, 42, {}, { holders: 1 }].map((rubbish) => () => Promise.resolve(rubbish)),
    ];
    for (const answer of answers) {
      const rig = doubting(answer as LockBackend['inspect']);
      const lease = await rig.locks.acquire('k', { renew: false, ttl: '10s' });
      for (let n = 0; n < 5; n++) {
        rig.doubt();
        await rig.clock.advance(1_000);
      }
      expect(lease.held).toBe(true);
      expect(count(rig.backend, 'inspect')).toBeLessThanOrEqual(10);
      expect(await lease.release()).toBe(true);
      await rig.close();
    }
    const empty = doubting(async () => ({ key: 'k', mode: 'exclusive', of: 1, holders: [], waiting: 1 }));
    const lease = await empty.locks.acquire('k', { renew: false, ttl: '10s' });
    empty.doubt();
    await empty.clock.settle();
    expect(lease.signal.reason).toMatchObject({ reason: 'gone' });
    empty.server.evict('interlock:k');
  });

  it('[27] a lease that nobody renews may be extended after a doubt, and keeps its ttl in a handle', async () => {
    const rig = doubting();
    const { locks, clock } = rig;
    const lease = await locks.acquire('k', { renew: false, ttl: '10s' });
    await clock.advance(8_000);
    rig.doubt();
    await clock.settle();
    await lease.extend('20s');
    expect(lease.expiresInMs).toBe(20_000 - 202);
    await clock.advance(5_000);
    rig.doubt();
    await clock.settle();
    const heir = await rig.replica().locks.adopt(lease.handle());
    await clock.advance(30_000);
    expect(heir.held).toBe(true);
    expect(await heir.release()).toBe(true);
  });

  it('[31] a doubt of whoever gave a lease away takes nothing from its heir', async () => {
    const rig = doubting();
    const lease = await rig.locks.acquire('k', { renew: false, ttl: '10s' });
    const heir = await rig.replica().locks.adopt(lease.handle());
    await heir.extend('1h');
    rig.doubt();
    await rig.clock.settle();
    const snapshot = await rig.locks.inspect('k');
    expect(snapshot?.holders[0]?.expiresInMs).toBe(3_600_000);
    expect(await heir.release()).toBe(true);
  });

  it.each(['at once', 'a moment later'])(
    '[18] a backend that doubts whatever it renews, %s, is asked again, but not in a hot loop',
    async (when) => {
      let renewals = 0;
      let doubt = (): void => undefined;
      const rig = setUp({
        between: (inner) =>
          changed(inner, {
            start: (context: BackendContext) => {
              doubt = () => context.doubt();
              return inner.start(context);
            },
            renew: async (grants: readonly Grant[]) => {
              // without an end the test would not end either
              if (++renewals > 2_000) throw new Error('renewed too often');
              if (when === 'at once') doubt();
              const answers = await inner.renew(grants);
              doubt();
              return answers;
            },
          }),
      });
      const lease = await rig.locks.acquire('k', { ttl: '3s' });
      const other = await rig.locks.acquire('l', { renew: false, ttl: '3s' });
      await rig.clock.advance(2_000);
      expect(lease.held).toBe(true);
      expect(other.held).toBe(true);
      expect(renewals).toBeGreaterThan(1);
      expect(renewals).toBeLessThan(250);
      await lease.release();
      await other.release();
    },
  );

  it.each(FAULTS)(
    '[22] a server that fails every renewal (%s): told by the local deadline',
    async (fault) => {
      const rig = setUp({ plan: ({ method }) => (method === 'renew' ? fault : undefined) });
      const lease = await rig.locks.acquire('k', { ttl: '3s' });
      const told = abortTime(rig, lease);
      const startMs = rig.clock.now();
      await rig.clock.advance(3_000);
      expect(told.atMs! - startMs).toBe(3_000 - 32);
      expect(told.reason).toMatchObject({ reason: 'silent' });
      expect(() => lease.assertHeld()).toThrow(LockLostError);
    },
  );

  it('[22] a holder that is lost to silence leaves the key closed for the lockDelay: it may be at work still', async () => {
    const rig = setUp({
      lockDelay: '2s',
      plan: ({ method, nOfMethod }) => (method === 'renew' && nOfMethod > 1 ? 'hang' : undefined),
    });
    const lease = await rig.locks.acquire('k', { ttl: '1s' });
    const told = abortTime(rig, lease);
    const startMs = rig.clock.now();
    const next = rig.watch(rig.replica().locks.acquire('k', { wait: '10s' }));
    await rig.clock.advance(6_000);
    const renewedMs = 1_000 / 3;
    expect(told.atMs! - startMs).toBeLessThan(renewedMs + 1_000);
    expect(next.atMs - startMs).toBeGreaterThanOrEqual(renewedMs + 1_000 + 2_000);
    expect(next.atMs - startMs).toBeLessThan(renewedMs + 1_000 + 2_000 + 100);
    await next.value?.release();
    expect(await lease.release()).toBe(false);
  });

  it('[22] the deadline counts from the last renewal that was confirmed, from before it was sent', async () => {
    const rig = setUp({
      between: (inner) =>
        changed(inner, {
          renew: async (...args: Parameters<typeof inner.renew>) => {
            const answer = await inner.renew(...args);
            // a slow answer
            await new Promise<void>((resolve) => {
              rig.clock.setTimer(resolve, 200);
            });
            return answer;
          },
        }),
      plan: ({ method, nOfMethod }) => (method === 'renew' && nOfMethod > 1 ? 'hang' : undefined),
    });
    const lease = await rig.locks.acquire('k', { ttl: '3s' });
    const told = abortTime(rig, lease);
    const startMs = rig.clock.now();
    await rig.clock.advance(5_000);
    expect(told.atMs! - startMs).toBe(1_000 + 3_000 - 32);
  });

  it('[22] a server that is silent for good costs nobody more than the deadline of one call at the release', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k', { ttl: '30s' });
    rig.backend.plan = () => 'hang';
    const error = await rig.failure(1_250, lease.release());
    expect(error).toMatchObject({
      name: 'LockUnavailableError',
      key: 'k',
      message:
        'The release of "k" was not confirmed: the lock server did not answer within 1000 ms. It is being repeated in the background; the key is free within its ttl of 30000 ms at the latest.',
    });
  });

  it('[23] asked for after the loss, the signal is already aborted', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k', { ttl: '1s', renew: false });
    const both = await rig.locks.acquire(['a', 'b'], { ttl: '1s', renew: false });
    await rig.clock.advance(1_000);
    expect(lease.signal.aborted).toBe(true);
    expect(lease.signal.reason).toMatchObject({ key: 'k', reason: 'silent' });
    expect(both.signal.aborted).toBe(true);
    expect(both.signal).toBe(both.signal);
    expect(lease.signal).toBe(lease.signal);
  });

  it('leaves no listener with a lock around it that goes on', async () => {
    const rig = setUp();
    await rig.locks.using('a', async (outer) => {
      for (let round = 0; round < 10; round++) {
        const inner = await rig.locks.acquire(['a', 'b']);
        expect(inner.signal.aborted).toBe(false);
        await inner.release();
        expect(inner.signal.aborted).toBe(false);
      }
      const [hold] = (outer as HeldLease)['holds'];
      expect([...(hold['lossListeners'] ?? [])]).toEqual([]);
    });
  });

  it('[23] a release aborts no signal', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k');
    const both = await rig.locks.acquire(['a', 'b']);
    const signals = [lease.signal, both.signal];
    await lease.release();
    await both.release();
    await rig.clock.advance(60_000);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false]);
    expect([lease.signal.aborted, both.signal.aborted]).toEqual([false, false]);
  });

  it('[23, 43] of several keys one loss is enough, and says which', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire(['a', 'b', 'c']);
    const told = abortTime(rig, lease);
    await rig.locks.forceRelease('b');
    await rig.clock.settle();
    expect(told.reason).toMatchObject({ key: 'b', reason: 'gone' });
    expect(lease.held).toBe(false);
    expect(lease.expiresInMs).toBe(0);
    expect(() => lease.assertHeld()).toThrow(told.reason);
    expect(await lease.release()).toBe(false);
    expect(await rig.locks.inspect('a')).toBeNull();
  });

  it('[25] an event loop that was blocked for longer than the ttl: assertHeld throws before any further work', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k', { ttl: '1s' });
    const told = abortTime(rig, lease);
    rig.clock.skip(1_000);
    // neither a timer nor a promise has run
    expect(told.atMs).toBeUndefined();
    expect(() => lease.assertHeld()).toThrow(LockLostError);
    expect(told.reason).toMatchObject({ reason: 'silent' });
    await rig.clock.settle();
  });

  it.each([
    ['held', (lease: Lease) => lease.held, false],
    ['expiresInMs', (lease: Lease) => lease.expiresInMs, 0],
    ['signal', (lease: Lease) => lease.signal.aborted, true],
  ])('[25] and so do all who ask: %s', async (_, ask, answer) => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k', { ttl: '1s' });
    const both = await rig.locks.acquire(['a', 'b'], { ttl: '1s' });
    rig.clock.skip(989);
    expect(ask(lease)).toBe(answer);
    expect(ask(both)).toBe(answer);
  });

  it('[25] blocked for less than the ttl, it is renewed at once, and goes on', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k', { ttl: '1s' });
    rig.clock.skip(900);
    await rig.clock.advance(0);
    expect(lease.expiresInMs).toBeGreaterThan(950);
    await lease.release();
  });

  it('[27] extend sets the remaining time from now, and renewals to the same', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k', { ttl: '1s' });
    await rig.clock.advance(200);
    await lease.extend('10s');
    expect(lease.expiresInMs).toBe(10_000 - 102);
    expect((await rig.locks.inspect('k'))?.holders[0]?.expiresInMs).toBe(10_000);
    const renewals = count(rig.backend, 'renew');
    await rig.clock.advance(3_000);
    expect(count(rig.backend, 'renew')).toBe(renewals);
    await rig.clock.advance(400);
    expect(count(rig.backend, 'renew')).toBe(renewals + 1);
    expect(lease.expiresInMs).toBeGreaterThan(9_000);
    await lease.release();
  });

  it('[27] a lease without renewal ends that much later, and a shorter time is what was asked for', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k', { ttl: '1s', renew: false });
    await rig.clock.advance(900);
    await lease.extend('2s');
    const told = abortTime(rig, lease);
    const startMs = rig.clock.now();
    await rig.clock.advance(2_000);
    expect(told.atMs! - startMs).toBe(2_000 - 22);

    const shorter = await rig.locks.acquire('s', { ttl: '10s', renew: false });
    await shorter.extend(500);
    expect(shorter.expiresInMs).toBe(500 - 7);
    await rig.clock.advance(500);
    expect(shorter.held).toBe(false);
  });

  it('[3, 27] extend refuses a wrong ttl, and a lease that is released or lost', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k');
    const { calls } = rig.backend;
    const before = calls.length;
    await expect(lease.extend(-1)).rejects.toThrow('ttl is -1; it must be between 20 ms and 86400000 ms.');
    await expect(lease.extend(NaN)).rejects.toThrow('ttl is NaN; give milliseconds');
    expect(calls).toHaveLength(before);
    await lease.release();
    await expect(lease.extend('1s')).rejects.toThrow(
      new LockError(
        'The lock "k" was released, so it guards nothing any more; do the work before the release.',
        { key: 'k' },
      ),
    );
    const lost = await rig.locks.acquire('k', { ttl: '1s', renew: false });
    rig.clock.skip(1_000);
    await expect(lost.extend('1s')).rejects.toThrow(LockLostError);
    const evicted = await rig.locks.acquire('e');
    rig.backend.plan = ({ method }) => (method === 'renew' ? 'hang' : undefined);
    await rig.locks.forceRelease('e');
    rig.backend.plan = [];
    await rig.clock.advance(1_000);
    await expect(evicted.extend('1s')).rejects.toMatchObject({ name: 'LockLostError', reason: 'gone' });
  });

  it.each(FAULTS)(
    '[27] extend says when the server did not confirm it (%s), and the lease goes on',
    async (fault) => {
      const rig = setUp();
      const lease = await rig.locks.acquire('k', { ttl: '3s' });
      rig.backend.plan = { method: 'renew', call: count(rig.backend, 'renew') + 1, fault };
      const error = await rig.failure(1_250, lease.extend('1h'));
      expect(error).toMatchObject({
        name: 'LockUnavailableError',
        message:
          'The lock server did not confirm the extension of "k"; the lease goes on by the shorter of the old and the new ttl. Try again.',
      });
      await rig.clock.advance(10_000);
      expect(lease.held).toBe(true);
      // by the old ttl, not by one that nobody confirmed
      expect(lease.expiresInMs).toBeLessThan(3_000);
      await lease.extend('1h');
      expect(lease.expiresInMs).toBeGreaterThan(3_500_000);
      expect(await lease.release()).toBe(true);
    },
  );

  it.each(FAULTS)(
    '[26, 27] a shorter lease that nobody confirmed (%s) is counted as shorter',
    async (fault) => {
      const rig = setUp();
      const lease = await rig.locks.acquire('k', { ttl: '1h', renew: false });
      rig.backend.plan = { method: 'renew', call: 1, fault };
      await rig.failure(1_250, lease.extend('2s'));
      expect(lease.expiresInMs).toBeLessThan(2_000);
      await rig.clock.advance(2_000);
      expect(lease.held).toBe(false);
    },
  );

  it('[29] a stale owner can neither release nor extend after a take-over; the new owner can', async () => {
    const rig = setUp();
    const stale = await rig.locks.acquire('k', { ttl: '1s' });
    rig.clock.skip(1_500);
    const owner = await rig.replica().locks.acquire('k', { wait: 0 });
    await expect(stale.extend('1h')).rejects.toThrow(LockLostError);
    expect(await stale.release()).toBe(false);
    await rig.clock.settle();
    expect((await rig.locks.inspect('k'))?.holders).toMatchObject([{ fence: owner.fence }]);
    await owner.extend('2s');
    expect(await owner.release()).toBe(true);
  });

  it('[30] a release after the expiry says false; it does not throw', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k', { ttl: '1s', renew: false });
    rig.clock.skip(1_500);
    expect(await lease.release()).toBe(false);
    expect(await lease.release()).toBe(false);
    const told = await rig.locks.acquire('k', { ttl: '1s', renew: false });
    await rig.clock.advance(1_500);
    expect(await told.release()).toBe(false);
  });

  it.each(['after', 'hang-after'] as const)(
    '[30] a release whose reply is lost (%s) says true all the same',
    async (fault) => {
      const rig = setUp({ plan: { method: 'release', call: 1, fault }, callTimeout: 500 });
      const lease = await rig.locks.acquire('k');
      const released = rig.watch(lease.release());
      await rig.clock.advance(750);
      if (fault === 'after') expect(released.value).toBe(true);
      else expect(released.error).toMatchObject({ name: 'LockUnavailableError' });
      expect(await rig.locks.inspect('k')).toBeNull();
    },
  );

  it.each([
    ['that was ours', 0, true],
    ['that had run out', 1_000, false],
  ])('[30] a backend that forgets what it released: a lease %s', async (_, blockedMs, wasHeld) => {
    const answers: ('lost' | 'gone')[] = ['lost', 'gone'];
    const rig = setUp({
      between: (inner) =>
        changed(inner, {
          release: async (grant) => {
            await inner.release(grant);
            if (answers.shift() === 'lost') throw new BackendError('the reply was lost', 'unknown');
            return 'gone';
          },
        }),
    });
    const lease = await rig.locks.acquire('k', { ttl: '1s' });
    rig.clock.skip(blockedMs);
    expect(await rig.within(1_000, lease.release())).toBe(wasHeld);
    expect(answers).toEqual([]);
  });

  it('a released lease guards nothing any more, and says so', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k');
    await lease.release();
    expect(lease).toMatchObject({ held: false, expiresInMs: 0 });
    const message =
      'The lock "k" was released, so it guards nothing any more; do the work before the release.';
    expect(() => lease.assertHeld()).toThrow(new LockError(message, { key: 'k' }));
    expect(() => lease.handle()).toThrow(new LockError(message, { key: 'k' }));
  });

  it('it is not held any more from the call of release on, not only from its answer', async () => {
    const rig = setUp({ plan: { method: 'release', call: 1, fault: 'hang' } });
    const lease = await rig.locks.acquire('k');
    const released = rig.watch(lease.release());
    expect(lease.held).toBe(false);
    expect(() => lease.assertHeld()).toThrow(LockError);
    await rig.clock.advance(2_000);
    expect(released.settled).toBe(true);
  });

  it('[26] relies on an extended lease for no longer than its first claim, still on its way, would leave of it', async () => {
    const rig = setUp({ plan: { method: 'claim', call: 1, fault: 'hang' } });
    const waiting = rig.watch(rig.locks.acquire('k', { ttl: '1s' }));
    await rig.clock.advance(1_100);
    const lease = waiting.value!;
    await rig.within(10, lease.extend('1m'));
    expect(lease.expiresInMs).toBeLessThanOrEqual(1_000);
    await rig.clock.advance(30_000);
    expect(lease.held).toBe(true);
    await lease.release();
  });

  it('an unconfirmed release is owed while it is repeated', async () => {
    const rig = setUp({ plan: { method: 'release', call: 1, fault: 'before' } });
    const lease = await rig.locks.acquire('k');
    const released = rig.watch(lease.release());
    await rig.clock.advance(10);
    expect(rig.locks.gauges).toEqual({ held: 0, waiting: 0, owed: 1 });
    await rig.clock.advance(20);
    expect(released.value).toBe(true);
    expect(rig.locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
  });
});

describe('minHold', () => {
  it('[54] keeps the key busy from its acquisition on, though the work was done sooner', async () => {
    const rig = setUp();
    const startMs = rig.clock.now();
    await rig.locks.using('k', { minHold: '2s', ttl: '5s' }, () => rig.clock.advance(300));
    expect(await rig.locks.tryAcquire('k')).toBeNull();
    const next = rig.watch(rig.replica().locks.acquire('k'));
    await rig.clock.advance(3_000);
    expect(next.atMs - startMs).toBeGreaterThanOrEqual(2_000);
    expect(next.atMs - startMs).toBeLessThan(2_010);
    await next.value?.release();
  });

  it('adds nothing when the work took longer', async () => {
    const rig = setUp();
    await rig.locks.using('k', { minHold: '2s', ttl: '5s' }, () => rig.clock.advance(2_500));
    expect(await rig.locks.inspect('k')).toBeNull();
  });

  it('[33] keeps it busy over a shutdown too', async () => {
    const rig = setUp();
    const other = rig.replica();
    await rig.locks.acquire('k', { minHold: '2s', ttl: '5s' });
    await rig.locks.stop();
    expect(await other.locks.tryAcquire('k')).toBeNull();
    await rig.clock.advance(2_000);
    expect(await other.locks.tryAcquire('k').then((lease) => lease?.release())).toBe(true);
  });
});
