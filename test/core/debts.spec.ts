import { afterEach, describe, expect, it } from '@jest/globals';
import { Debts } from '../../lib/core/debts.js';
import { LockEvents, type LockEvent } from '../../lib/core/events.js';
import { Calls } from '../../lib/core/outcome.js';
import { ManualClock } from '../../lib/testing/manual-clock.js';
import { changed, count, setUp } from '../support/rig.js';

const CALL_TIMEOUT_MS = 1_000;

/** Debts, and a server for them that fails as told. */
class Bench {
  readonly clock = new ManualClock();
  readonly events = new LockEvents();
  readonly calls = new Calls(this.clock, CALL_TIMEOUT_MS);
  readonly debts = new Debts(this.clock, this.calls, this.events);
  readonly told: LockEvent[] = [];
  /** When each of them was tried. */
  readonly tries = new Map<string, number[]>();
  readonly down = new Set<string>();
  readonly hanging = new Set<string>();
  inFlight = 0;
  mostInFlight = 0;

  constructor() {
    this.events.stream.subscribe((event) => void this.told.push(event));
  }

  get tried(): number {
    return [...this.tries.values()].flat().length;
  }

  owe(key: string, lastsMs = 30_000): void {
    this.debts.owe(key, lastsMs, async () => {
      this.tries.set(key, [...(this.tries.get(key) ?? []), this.clock.now()]);
      this.mostInFlight = Math.max(this.mostInFlight, ++this.inFlight);
      if (this.hanging.has(key)) await new Promise<never>(() => {});
      await Promise.resolve();
      this.inFlight--;
      if (this.down.has(key) || this.down.has('*')) throw new Error(`${key} is down`);
    });
  }

  /** Debts and timers that are left; the watch over calls has one of its own, which stays a while. */
  get left(): [debts: number, timers: number] {
    this.calls.stop();
    return [this.debts.size, this.clock.pendingTimers];
  }

  outcomes(key: string): string[] {
    return this.told.filter((event) => 'key' in event && event.key === key).map(({ type }) => type);
  }
}

describe('clean-up debts', () => {
  const benches: Bench[] = [];
  function bench(): Bench {
    const made = new Bench();
    benches.push(made);
    return made;
  }

  afterEach(async () => {
    for (const self of benches.splice(0)) {
      const drained = self.debts.drain(0);
      await self.clock.advance(CALL_TIMEOUT_MS);
      await drained;
      expect(self.left).toEqual([0, 0]);
    }
  });

  it('[36] are paid at once while the server is well', async () => {
    const self = bench();
    const { debts, clock, told } = self;
    self.owe('a');
    self.owe('b');
    expect(debts.size).toBe(2);
    await clock.settle();
    expect(self.left).toEqual([0, 0]);
    expect(told).toEqual([
      { type: 'cleanup-paid', key: 'a' },
      { type: 'cleanup-paid', key: 'b' },
    ]);
  });

  it('are repeated with growing pauses while the server fails, and paid when it is back', async () => {
    const self = bench();
    self.down.add('*');
    self.owe('a');
    await self.clock.advance(8_000);
    const tries = self.tries.get('a')!;
    const pauses = tries.slice(1).map((atMs, index) => atMs - tries[index]!);
    expect(pauses).toEqual([50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
    self.down.clear();
    await self.clock.advance(2_000);
    expect(self.debts.size).toBe(0);
    expect(self.outcomes('a').at(-1)).toBe('cleanup-paid');
  });

  it('are forgiven when the ttl has done it', async () => {
    const self = bench();
    self.down.add('*');
    self.owe('short', 300);
    self.owe('long', 5_000);
    await self.clock.advance(2_500);
    expect(self.outcomes('short').at(-1)).toBe('cleanup-expired');
    expect(self.outcomes('long').at(-1)).toBe('cleanup-owed');
    await self.clock.advance(5_000);
    expect(self.outcomes('long').at(-1)).toBe('cleanup-expired');
    expect(self.left).toEqual([0, 0]);
  });

  it('one that is forgiven leaves nobody else unpaid: not those owed with it, and not those to come', async () => {
    const self = bench();
    self.down.add('*');
    self.owe('short', 60);
    self.owe('long', 60_000);
    await self.clock.advance(200);
    self.down.clear();
    await self.clock.advance(2_000);
    expect(self.outcomes('long').at(-1)).toBe('cleanup-paid');

    self.down.add('*');
    self.owe('last', 60);
    await self.clock.advance(1_000);
    expect(self.outcomes('last').at(-1)).toBe('cleanup-expired');
    self.down.clear();
    self.owe('new');
    await self.clock.settle();
    expect(self.outcomes('new')).toEqual(['cleanup-paid']);
  });

  it('a new one is tried at once, though older ones fail', async () => {
    const self = bench();
    for (let n = 0; n < 100; n++) {
      self.down.add(`shard-${n}`);
      self.owe(`shard-${n}`);
    }
    await self.clock.advance(5_000);
    self.owe('well');
    await self.clock.settle();
    expect(self.outcomes('well')).toEqual(['cleanup-paid']);
  });

  it('one that cannot be paid does not keep the others waiting, and is no hot loop', async () => {
    const self = bench();
    self.down.add('poison');
    self.owe('poison', 60_000);
    for (let n = 0; n < 200; n++) {
      self.owe(`well-${n}`);
      await self.clock.advance(5);
    }
    expect(self.debts.size).toBe(1);
    // a second, at most one try each 50 ms
    expect(self.tries.get('poison')!.length).toBeLessThanOrEqual(22);
  });

  it('of many, few are tried while the server is down, and all soon after it is back', async () => {
    const self = bench();
    self.down.add('*');
    for (let n = 0; n < 1_000; n++) self.owe(`k${n}`, 60_000);
    await self.clock.advance(1_000);
    const before = self.tried;
    await self.clock.advance(10_000);
    expect(self.tried - before).toBeLessThan(60);
    self.down.clear();
    await self.clock.advance(2_100);
    expect(self.debts.size).toBe(0);
  });

  it('no more than 32 are in flight, however many hang', async () => {
    const self = bench();
    for (let n = 0; n < 100; n++) {
      self.hanging.add(`k${n}`);
      self.owe(`k${n}`, 10_000);
    }
    await self.clock.settle();
    expect(self.mostInFlight).toBe(32);
    expect(self.debts.size).toBe(100);
    await self.clock.advance(60_000);
    expect(self.left).toEqual([0, 0]);
  });

  it('those that hang are one try each, until they time out', async () => {
    const self = bench();
    self.hanging.add('a');
    self.owe('a', 20_000);
    await self.clock.advance(CALL_TIMEOUT_MS - 1);
    expect(self.tries.get('a')).toHaveLength(1);
    self.hanging.clear();
    await self.clock.advance(100);
    expect(self.outcomes('a')).toEqual(['cleanup-owed', 'cleanup-paid']);
  });

  it('are bounded: beyond 10,000 the oldest is forgiven', async () => {
    const self = bench();
    self.down.add('*');
    for (let n = 0; n < 10_100; n++) {
      self.owe(`k${n}`);
      if (n % 32 === 0) await self.clock.settle();
    }
    await self.clock.settle();
    expect(self.debts.size).toBeLessThanOrEqual(10_000 + 32);
    expect(self.told.filter(({ type }) => type === 'cleanup-expired').length).toBeGreaterThanOrEqual(60);
  });

  it('[33] a shutdown pays them without waiting for the next pause', async () => {
    const self = bench();
    self.down.add('*');
    for (let n = 0; n < 100; n++) self.owe(`k${n}`);
    await self.clock.advance(3_000);
    self.down.clear();
    const drained = self.debts.drain(5_000);
    const startMs = self.clock.now();
    await self.clock.settle();
    await drained;
    expect(self.clock.now()).toBe(startMs);
    expect(self.told.filter(({ type }) => type === 'cleanup-paid')).toHaveLength(100);
  });

  it('[33] a shutdown waits for them no longer than its limit, and leaves no timer', async () => {
    const self = bench();
    self.hanging.add('hung');
    self.owe('hung');
    self.down.add('down');
    self.owe('down');
    let drainedMs = NaN;
    const drained = self.debts.drain(300).then(() => (drainedMs = self.clock.now()));
    await self.clock.advance(300);
    await drained;
    expect(drainedMs).toBe(300);
    await self.clock.advance(CALL_TIMEOUT_MS);
    expect(self.left).toEqual([0, 0]);
    const { tried } = self;
    self.owe('late');
    await self.clock.advance(60_000);
    expect([self.tried, self.debts.size]).toEqual([tried, 0]);
  });
});

describe('what a service owes', () => {
  it('[9, 36] a lost claim is cleaned up in the background, and the key is free long before its ttl', async () => {
    const rig = setUp({ plan: { method: 'claim', call: 1, fault: 'after' } });
    const other = rig.replica();
    expect(await rig.failure(0, rig.locks.acquire('k', { wait: 0 }))).toMatchObject({
      name: 'LockUnavailableError',
      message: expect.stringContaining('what the lost call may have left behind is being cleaned up'),
    });
    await rig.clock.settle();
    expect(await other.locks.tryAcquire('k').then((lease) => lease?.release())).toBe(true);
    expect(rig.events.map(({ type }) => type).sort()).toEqual(['cleanup-paid', 'unavailable']);
    expect(rig.locks.gauges.owed).toBe(0);
  });

  it('[11, 21] of a lock that is taken away, a claim that is still under way is cleaned up after', async () => {
    const rig = setUp({ plan: { method: 'claim', call: 1, fault: 'after' } });
    const lease = await rig.within(1_000, rig.locks.acquire('k'));
    await rig.locks.forceRelease('k');
    await rig.clock.settle();
    expect(lease.held).toBe(false);
    expect(count(rig.backend, 'abandon')).toBe(1);
    expect(rig.locks.gauges.owed).toBe(0);
  });

  it('is repeated until the server is back, and then the key is free', async () => {
    let down = true;
    const rig = setUp({
      plan: ({ method, nOfMethod }) => {
        if (method === 'claim' && nOfMethod === 1) return 'after';
        return down && method === 'abandon' ? 'before' : undefined;
      },
    });
    const other = rig.replica();
    await rig.failure(0, rig.locks.acquire('k', { wait: 0, ttl: '1h' }));
    await rig.clock.advance(20_000);
    expect(rig.locks.gauges.owed).toBe(1);
    expect(await other.locks.tryAcquire('k')).toBeNull();
    down = false;
    const next = rig.watch(other.locks.acquire('k'));
    await rig.clock.advance(2_000);
    expect(next.settled).toBe(true);
    expect(rig.locks.gauges.owed).toBe(0);
    await next.value?.release();
  });

  it('an outage that outlasts a debt does not stop the clean-up of later ones', async () => {
    const rig = setUp();
    const holder = rig.replica();
    await rig.locks.start();
    rig.backend.plan = ({ method }) => (method === 'claim' ? 'after' : 'before');
    await rig.failure(2_000, rig.locks.acquire('k', { wait: 0, ttl: 1_000 }));
    await rig.clock.advance(5_000);
    expect(rig.locks.gauges.owed).toBe(0);

    rig.backend.plan = [];
    const lease = await holder.locks.acquire('k');
    const abort = new AbortController();
    const waiting = rig.watch(rig.locks.acquire('k', { signal: abort.signal }));
    await rig.clock.advance(10);
    expect((await holder.locks.inspect('k'))?.waiting).toBe(1);
    abort.abort();
    await rig.clock.settle();
    expect(waiting.settled).toBe(true);
    expect((await holder.locks.inspect('k'))?.waiting).toBe(0);
    expect(count(rig.backend, 'abandon')).toBeGreaterThan(1);
    await lease.release();
  });

  it('[19, 24] a claim that was retried, and arrives once more after the release, gets nothing', async () => {
    let claims = 0;
    const rig = setUp({
      between: (inner) =>
        changed(inner, {
          claim: async (claim) => {
            // the first one is long on its way
            if (++claims === 1) await rig.sleep(3_000);
            return inner.claim(claim);
          },
        }),
    });
    const waiting = rig.watch(rig.locks.acquire('k', { ttl: '1h' }));
    await rig.clock.advance(1_500);
    expect([claims, waiting.value?.held]).toEqual([2, true]);
    expect(await waiting.value?.release()).toBe(true);
    await rig.clock.advance(3_000);
    expect(await rig.locks.inspect('k')).toBeNull();
  });

  it('[27] lasts as long as the longest ttl that the server may have heard of', async () => {
    const rig = setUp();
    const released = await rig.locks.acquire('released', { ttl: '1s' });
    const lost = await rig.locks.acquire('lost', { ttl: '1s' });
    const renewals = count(rig.backend, 'renew');
    // carried out, though nobody hears of it
    rig.backend.plan = ({ method, nOfMethod }) =>
      method === 'renew' && nOfMethod <= renewals + 2 ? 'after' : undefined;
    await rig.failure(300, released.extend('1h'));
    await rig.failure(300, lost.extend('1h'));
    rig.backend.plan = () => 'before';
    await rig.failure(1_250, released.release());
    await rig.clock.advance(10_000);
    expect(lost.held).toBe(false);
    expect(rig.locks.gauges.owed).toBe(2);
    rig.backend.plan = [];
    await rig.clock.advance(2_100);
    expect(rig.locks.gauges.owed).toBe(0);
    expect(await rig.locks.inspect('released')).toBeNull();
    expect(await rig.locks.inspect('lost')).toBeNull();
  });
});
