import { describe, expect, it } from '@jest/globals';
import type { LockEvent } from '../../lib/core/events.js';
import type { Lease } from '../../lib/core/lease.js';
import { setUp, type Watched } from '../support/rig.js';

describe('events', () => {
  it('tell of a wait, an acquisition and a release, with what they took', async () => {
    const rig = setUp({ identity: 'web-1' });
    const first = await rig.locks.acquire('k');
    const next = rig.watch(rig.locks.acquire('k'));
    await rig.clock.advance(250);
    await first.release();
    await rig.clock.advance(100);
    await next.value?.release();
    expect(rig.events).toEqual([
      { type: 'acquired', key: 'k', fence: 1n, waitedMs: 0 },
      { type: 'waiting', key: 'k' },
      { type: 'released', key: 'k', fence: 1n, heldMs: 250, wasHeld: true },
      { type: 'acquired', key: 'k', fence: 2n, waitedMs: 250 },
      { type: 'released', key: 'k', fence: 2n, heldMs: 100, wasHeld: true },
    ]);
  });

  it('tell of a refusal, and who was in the way', async () => {
    const rig = setUp({ identity: 'web-1' });
    const lease = await rig.locks.acquire('k');
    await rig.locks.tryAcquire('k');
    await rig.failure(200, rig.locks.acquire('k', { wait: 100 }));
    expect(rig.events.filter(({ type }) => type === 'busy')).toEqual([
      { type: 'busy', key: 'k', waitedMs: 0, holder: expect.stringMatching(/^web-1~/) },
      { type: 'busy', key: 'k', waitedMs: 100, holder: expect.stringMatching(/^web-1~/) },
    ]);
    await lease.release();
  });

  it('reach a listener who may lock at once, while those in the line give up', async () => {
    const rig = setUp();
    const lease = await rig.replica().locks.acquire('k');
    const again: Watched<Lease>[] = [];
    rig.locks.events$.subscribe(({ type }) => {
      if (type === 'busy') again.push(rig.watch(rig.locks.acquire('k', { wait: '1m' })));
    });
    const head = rig.watch(rig.locks.acquire('k', { wait: 100 }));
    // so that its time is over before theirs is noticed
    await rig.clock.settle();
    const behind = [1, 2].map(() => rig.watch(rig.locks.acquire('k', { wait: 100 })));
    const patient = rig.watch(rig.locks.acquire('k', { wait: '1m' }));
    await rig.clock.advance(400);
    expect([head, ...behind].map(({ settled }) => settled)).toEqual([true, true, true]);
    // one for the whole process
    expect((await rig.locks.inspect('k'))?.waiting).toBe(1);
    await lease.release();
    for (const next of [patient, ...again]) {
      await rig.clock.advance(10);
      expect(await next.value?.release()).toBe(true);
    }
    expect(again).toHaveLength(3);
  });

  it('tell of re-entry, loss, and what nobody else would hear of', async () => {
    const rig = setUp();
    await rig.locks.using('k', { ttl: '3s' }, async () => {
      await (await rig.locks.acquire('k')).release();
      await rig.locks.forceRelease('k');
      await rig.clock.settle();
    });
    expect(rig.events).toEqual([
      { type: 'acquired', key: 'k', fence: 1n, waitedMs: 0 },
      { type: 'reentered', key: 'k', fence: 1n },
      { type: 'lost', key: 'k', fence: 1n, reason: 'gone' },
    ]);
  });

  it('tell of an unavailable server, and of the clean-up behind it', async () => {
    const rig = setUp({
      plan: [
        { method: 'claim', call: 1, fault: 'after' },
        { method: 'abandon', call: 1, fault: 'before' },
      ],
    });
    await rig.failure(0, rig.locks.tryAcquire('k'));
    await rig.clock.advance(200);
    const types = rig.events.map(({ type }) => type);
    expect(types.sort()).toEqual(['cleanup-owed', 'cleanup-paid', 'unavailable']);
    for (const event of rig.events) expect(event).toMatchObject({ key: 'k' });
  });

  it('hand on what a backend reports', async () => {
    const error = new Error('the subscription broke');
    const rig = setUp({
      between: (inner) =>
        Object.assign(Object.create(inner) as typeof inner, {
          start: async (context: Parameters<typeof inner.start>[0]) => {
            await inner.start(context);
            context.report(error);
          },
        }),
    });
    await rig.locks.start();
    expect(rig.events).toEqual([{ type: 'backend-error', error }]);
  });

  it('end with the service, and nobody has to listen', async () => {
    const rig = setUp();
    let ended = false;
    rig.locks.events$.subscribe({ complete: () => (ended = true) });
    await rig.locks.acquire('k');
    await rig.locks.stop();
    expect(ended).toBe(true);
    const seen: LockEvent[] = [];
    rig.locks.events$.subscribe((event) => void seen.push(event));
    expect(seen).toEqual([]);
  });

  it('[59] gauges return to zero when everything is released', async () => {
    const rig = setUp();
    const leases = [await rig.locks.acquire(['a', 'b']), await rig.locks.acquire('c', { mode: 'shared' })];
    const waiting = [rig.watch(rig.locks.acquire('a')), rig.watch(rig.locks.acquire('a', { wait: 50 }))];
    await rig.clock.advance(20);
    expect(rig.locks.gauges).toEqual({ held: 3, waiting: 2, owed: 0 });
    await rig.clock.advance(100);
    expect(rig.locks.gauges.waiting).toBe(1);
    for (const lease of leases) await lease.release();
    await rig.clock.settle();
    await waiting[0]?.value?.release();
    expect(rig.locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
  });
});
