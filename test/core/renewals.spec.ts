import { describe, expect, it } from '@jest/globals';
import type { Grant, LockBackend, RenewOutcome } from '../../lib/backends/lock-backend.js';
import { ManualClock } from '../../lib/testing/manual-clock.js';
import { changed, count, setUp, type Replica, type Rig } from '../support/rig.js';

/** Watches the renewals of a backend, and answers them when told. */
class Renewals {
  /** Owners that have a renewal in flight. */
  readonly inFlight = new Set<string>();
  overlaps = 0;
  batches: number[] = [];
  readonly sentAtMs: number[] = [];
  clock = new ManualClock();

  /** @param latencyMs how long each takes */
  constructor(private readonly latencyMs: number) {}

  watch = (inner: LockBackend): LockBackend =>
    changed(inner, {
      renew: async (grants: readonly Grant[]): Promise<readonly RenewOutcome[]> => {
        this.batches.push(grants.length);
        this.sentAtMs.push(this.clock.now());
        for (const { claim } of grants) {
          if (this.inFlight.has(claim.owner)) this.overlaps++;
          this.inFlight.add(claim.owner);
        }
        const answer = await inner.renew(grants);
        await this.sleep();
        for (const { claim } of grants) this.inFlight.delete(claim.owner);
        return answer;
      },
    });

  private sleep(): Promise<void> {
    return new Promise((resolve) => {
      this.clock.setTimer(resolve, this.latencyMs);
    });
  }
}

function watched(latencyMs: number): Rig & Replica & { renewals: Renewals } {
  const renewals = new Renewals(latencyMs);
  const rig = setUp({ between: renewals.watch });
  renewals.clock = rig.clock;
  return Object.assign(rig, { renewals });
}

describe('renewals', () => {
  it('[18, 28] of 1,000 leases go out in at most 10 calls a tick, all of them in time', async () => {
    const rig = setUp();
    for (let n = 0; n < 1_000; n++) {
      await rig.locks.acquire(`k${n}`, { ttl: '30s' });
      // taken over the whole of a tick
      if (n % 10 === 0) rig.clock.skip(100);
    }
    await rig.clock.advance(30_000);
    const before = count(rig.backend, 'renew');
    await rig.clock.advance(60_000);
    expect(rig.locks.gauges.held).toBe(1_000);
    const ticks = 6;
    expect(count(rig.backend, 'renew') - before).toBeLessThanOrEqual(10 * ticks);
    const sizes = rig.backend.calls.filter(({ method }) => method === 'renew').map(({ size }) => size);
    expect(Math.max(...sizes)).toBeGreaterThanOrEqual(200);
    expect(rig.events.filter(({ type }) => type === 'lost')).toEqual([]);
  });

  it('[18] never overlap, however slow the server is', async () => {
    const made = watched(200);
    const { renewals } = made;
    const leases = [];
    for (let n = 0; n < 20; n++) {
      leases.push(await made.locks.acquire(`k${n}`, { ttl: '1s' }));
      await made.clock.advance(7);
    }
    await made.clock.advance(20_000);
    expect(renewals.overlaps).toBe(0);
    expect(leases.every(({ held }) => held)).toBe(true);
    expect(renewals.batches.length).toBeLessThan(150);
    await made.within(1_000, Promise.all(leases.map((lease) => lease.release())));
  });

  it.each([20, 21, 50, 100])('[18] a ttl of %i ms is no hot loop', async (ttl) => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k', { ttl });
    await rig.clock.advance(1_000);
    // one each third of the ttl, and as many again for the grain of timers
    expect(count(rig.backend, 'renew')).toBeLessThanOrEqual((1_000 / ttl) * 3 * 1.5);
    expect(lease.held).toBe(true);
    await lease.release();
  });

  it('[18] nor is it one while the server fails', async () => {
    const rig = setUp();
    rig.backend.plan = ({ method }) => (method === 'renew' ? 'before' : undefined);
    const lease = await rig.locks.acquire('k', { ttl: 20 });
    const { signal } = lease;
    const long = await rig.locks.acquire('l', { ttl: '10m' });
    await rig.clock.advance(300_000);
    expect(signal.aborted).toBe(true);
    expect(long.held).toBe(true);
    expect(count(rig.backend, 'renew')).toBeLessThanOrEqual(10);
  });

  it('[19] none after the release', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k', { ttl: '1s' });
    await rig.clock.advance(5_000);
    await lease.release();
    const before = rig.backend.calls.length;
    await rig.clock.advance(60_000);
    expect(rig.backend.calls).toHaveLength(before);
  });

  it('[19] none after an acquisition that failed, timed out or was aborted', async () => {
    const rig = setUp();
    const holder = rig.replica();
    const lease = await holder.locks.acquire('k', { ttl: '1h' });
    const abort = new AbortController();
    const refused = [
      rig.locks.tryAcquire('k', { ttl: '1s' }),
      rig.locks.acquire('k', { ttl: '1s', wait: 100 }).catch(() => null),
      rig.locks.acquire('k', { ttl: '1s', signal: abort.signal }).catch(() => null),
    ];
    await rig.clock.advance(200);
    abort.abort();
    expect(await Promise.all(refused)).toEqual([null, null, null]);
    await rig.clock.advance(60_000);
    expect(count(rig.backend, 'renew')).toBe(0);
    await lease.release();
  });

  it('[19] a release waits for the one in flight, which cannot bring the key back to life', async () => {
    const made = watched(100);
    const { renewals } = made;
    const lease = await made.locks.acquire('k', { ttl: '3s' });
    await made.clock.advance(1_000);
    expect(renewals.inFlight.size).toBe(1);
    const released = made.watch(lease.release());
    await made.clock.advance(50);
    expect(count(made.backend, 'release')).toBe(0);
    await made.clock.advance(50);
    expect(released.value).toBe(true);
    expect(renewals.inFlight.size).toBe(0);
    expect(await made.locks.inspect('k')).toBeNull();
  });

  it('[22] a release does not wait for one that hangs longer than a call may take', async () => {
    const rig = setUp({ plan: { method: 'renew', call: 1, fault: 'hang' }, callTimeout: 500 });
    const lease = await rig.locks.acquire('k', { ttl: '30s' });
    await rig.clock.advance(10_000);
    const startMs = rig.clock.now();
    const released = rig.watch(lease.release());
    await rig.clock.advance(1_000);
    expect(released.value).toBe(true);
    expect(released.atMs - startMs).toBeLessThanOrEqual(500);
  });

  it('[27] two extensions at once are never in flight together, and the later one decides', async () => {
    const made = watched(100);
    const { renewals } = made;
    const lease = await made.locks.acquire('k', { ttl: '3s' });
    await made.clock.advance(1_000);
    expect(renewals.inFlight.size).toBe(1);
    const extensions = [10, 20, 30, 40].map((seconds) => made.watch(lease.extend(`${seconds}s`)));
    await made.clock.advance(2_000);
    expect(extensions.map(({ settled, error }) => [settled, error])).toEqual(
      Array(4).fill([true, undefined]),
    );
    expect(renewals.overlaps).toBe(0);
    expect((await made.locks.inspect('k'))?.holders[0]?.expiresInMs).toBeGreaterThan(35_000);
    await made.within(500, lease.release());
  });

  it('[19, 27] an extension during a release, and a release during an extension, do not revive the key', async () => {
    const made = watched(100);
    const { renewals } = made;
    const one = await made.locks.acquire('one', { ttl: '3s' });
    const extended = made.watch(one.extend('1h'));
    const released = made.watch(one.release());
    await made.clock.advance(300);
    expect([extended.error, released.value]).toEqual([expect.anything(), true]);
    expect(await made.locks.inspect('one')).toBeNull();

    const two = await made.locks.acquire('two', { ttl: '3s' });
    await made.clock.advance(1_000);
    expect(renewals.inFlight.size).toBe(1);
    const late = made.watch(two.extend('1h'));
    const freed = made.watch(two.release());
    await made.clock.advance(300);
    expect(freed.value).toBe(true);
    expect(late.error).toMatchObject({
      name: 'LockError',
      message: 'The lock "two" was released meanwhile.',
    });
    expect(await made.locks.inspect('two')).toBeNull();
    expect(renewals.overlaps).toBe(0);
  });

  it('[21] a doubt while a renewal is in flight is not forgotten: its answer may be older', async () => {
    const made = watched(100);
    const { renewals } = made;
    const lease = await made.locks.acquire('k', { ttl: '30s' });
    const { signal } = lease;
    await made.clock.advance(10_050);
    expect(renewals.inFlight.size).toBe(1);
    await made.replica().locks.forceRelease('k');
    await made.clock.advance(200);
    expect(signal.reason).toMatchObject({ reason: 'gone' });
  });

  it('[22] an answer that comes later than we waited for it still counts from when it was asked for', async () => {
    // longer than a call may take by this ttl
    const made = watched(300);
    const lease = await made.locks.acquire('k', { ttl: '1s' });
    await made.clock.advance(10_000);
    expect(lease.held).toBe(true);
    expect(lease.expiresInMs).toBeLessThan(700);
    await made.within(2_000, lease.release());
    await made.clock.advance(300);
  });

  it('[26, 27] an answer that comes late does not lengthen a lease that was shortened meanwhile', async () => {
    const made = watched(600);
    const { renewals } = made;
    const lease = await made.locks.acquire('k', { ttl: '2s' });
    await made.clock.advance(667 + 501);
    expect(renewals.inFlight.size).toBe(1);
    made.backend.plan = ({ method }) => (method === 'renew' ? 'hang-after' : undefined);
    const shortened = made.watch(lease.extend(100));
    await made.clock.advance(99);
    expect(lease.held).toBe(false);
    await made.clock.advance(2_000);
    expect(shortened.error).toBeDefined();
  });

  it('[26, 27] one that was given up may arrive late, so its shorter ttl is all that is relied on', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k', { ttl: '3s' });
    rig.backend.plan = ({ method }) => (method === 'renew' ? 'hang' : undefined);
    await rig.clock.advance(1_500);
    rig.backend.plan = () => undefined;
    const extended = rig.watch(lease.extend('60s'));
    await rig.clock.advance(1_000);
    expect(extended.settled).toBe(true);
    expect(lease.expiresInMs).toBeLessThanOrEqual(3_000);
    const before = count(rig.backend, 'renew');
    await rig.clock.advance(60_000);
    expect(lease.held).toBe(true);
    // each second, by the shorter one, and no hot loop
    expect(count(rig.backend, 'renew') - before).toBeGreaterThanOrEqual(55);
    expect(count(rig.backend, 'renew') - before).toBeLessThanOrEqual(80);
    await lease.release();
  });

  it('[24] rubbish for an answer is an unknown outcome, and harms nobody', async () => {
    for (const rubbish of [undefined, null, [], 'renewed', {}, ['maybe'], [undefined]]) {
      let calls = 0;
      const rig = setUp({
        between: (inner) =>
          changed(inner, {
            renew: async (grants: readonly Grant[]) =>
              ++calls % 2 === 1 ? (rubbish as RenewOutcome[]) : inner.renew(grants),
          }),
      });
      const lease = await rig.locks.acquire('k', { ttl: '1s' });
      await rig.clock.advance(5_000);
      expect([calls > 5, lease.held]).toEqual([true, true]);
      expect(await lease.release()).toBe(true);
    }
  });

  it('[20] one lease that is gone does not end the others of its batch', async () => {
    const rig = setUp();
    const leases = [];
    for (let n = 0; n < 50; n++) leases.push(await rig.locks.acquire(`k${n}`, { ttl: '3s' }));
    const silent = rig.replica();
    await silent.locks.start();
    for (let n = 0; n < 50; n += 10) await silent.locks.forceRelease(`k${n}`);
    await rig.clock.advance(10_000);
    expect(leases.map(({ held }) => held)).toEqual(leases.map((_, n) => n % 10 !== 0));
  });
});
