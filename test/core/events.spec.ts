import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { filter, map } from 'rxjs';
import { describe, expect, it } from '@jest/globals';
import { LockEvents, type LockEvent, type LockMessage } from '../../lib/core/events.js';
import type { Lease } from '../../lib/core/lease.js';
import { setUp, type Watched } from '../support/rig.js';

const k = { key: 'k', mode: 'exclusive' };

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
      { type: 'acquired', ...k, fence: 1n, waitedMs: 0 },
      { type: 'waiting', ...k },
      { type: 'released', ...k, fence: 1n, heldMs: 250, wasHeld: true },
      { type: 'acquired', ...k, fence: 2n, waitedMs: 250 },
      { type: 'released', ...k, fence: 2n, heldMs: 100, wasHeld: true },
    ]);
  });

  it('tell of a refusal, and who was in the way', async () => {
    const rig = setUp({ identity: 'web-1' });
    const lease = await rig.locks.acquire('k');
    await rig.locks.tryAcquire('k');
    await rig.failure(200, rig.locks.acquire('k', { wait: 100 }));
    expect(rig.events.filter(({ type }) => type === 'busy')).toEqual([
      { type: 'busy', ...k, waitedMs: 0, holder: expect.stringMatching(/^web-1~/) },
      { type: 'busy', ...k, waitedMs: 100, holder: expect.stringMatching(/^web-1~/) },
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
      { type: 'acquired', ...k, fence: 1n, waitedMs: 0 },
      { type: 'reentered', ...k, fence: 1n },
      { type: 'lost', ...k, fence: 1n, reason: 'gone', heldMs: 0 },
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

  it('tell whether a server refused or was silent', async () => {
    const rig = setUp({
      plan: [
        { method: 'claim', call: 1, fault: 'before' },
        { method: 'claim', call: 2, fault: 'hang' },
      ],
    });
    await rig.failure(0, rig.locks.tryAcquire('k'));
    await rig.failure(1_000, rig.locks.tryAcquire('k'));
    expect(rig.events.filter(({ type }) => type === 'unavailable')).toEqual([
      { type: 'unavailable', ...k, certainty: 'denied', error: expect.any(Error) },
      { type: 'unavailable', ...k, certainty: 'unknown', error: expect.any(Error) },
    ]);
  });

  it('name the pattern of the key, never a value in its place', async () => {
    const rig = setUp();
    const options = { pattern: 'seat:<id>', mode: 'shared' } as const;
    const lease = await rig.locks.acquire('seat:12', options);
    await rig.failure(50, rig.locks.acquire('seat:12', { wait: 50, pattern: 'seat:<id>' }));
    expect(rig.locks.census).toEqual([{ mode: 'shared', pattern: 'seat:<id>', held: 1, waiting: 0 }]);
    await lease.release();
    const told = rig.events
      .filter(({ type }) => type !== 'cleanup-paid')
      .map((event) => [event.type, 'pattern' in event && event.pattern, 'mode' in event && event.mode]);
    expect(told).toEqual([
      ['acquired', 'seat:<id>', 'shared'],
      ['waiting', 'seat:<id>', 'exclusive'],
      ['busy', 'seat:<id>', 'exclusive'],
      ['released', 'seat:<id>', 'shared'],
    ]);
    expect(rig.locks.census).toEqual([]);
  });

  it('tell of the end of a lock also when the server did not confirm its release', async () => {
    const rig = setUp({ plan: { method: 'release', call: 1, fault: 'hang', onward: true } });
    const lease = await rig.locks.acquire('k', { ttl: '2s' });
    const release = rig.watch(lease.release());
    await rig.clock.advance(3_000);
    expect(release.error).toMatchObject({ name: 'LockUnavailableError' });
    const ends = rig.events.filter(({ type }) => type === 'released');
    expect(ends).toEqual([{ type: 'released', ...k, fence: 1n, heldMs: 1_000, wasHeld: undefined }]);
  });

  it('tell of a renewal that a blocked event loop has held up, with the lag', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k', { ttl: '3s' });
    await rig.clock.advance(900);
    rig.clock.skip(600);
    await rig.clock.advance(0);
    expect(rig.events.filter(({ type }) => type === 'renewed-late')).toEqual([
      { type: 'renewed-late', ...k, fence: 1n, lagMs: expect.any(Number), ttlMs: 3_000 },
    ]);
    const [late] = rig.events.filter((event) => event.type === 'renewed-late');
    expect(late?.lagMs).toBeGreaterThan(400);
    expect(late?.lagMs).toBeLessThanOrEqual(600);
    await rig.clock.advance(10_000);
    expect(rig.events.filter(({ type }) => type === 'renewed-late')).toHaveLength(1);
    await lease.release();
  });

  it('tell once of a lock that is held for many times its ttl', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k', { ttl: '3s' });
    await rig.clock.advance(59_000);
    expect(rig.events.map(({ type }) => type)).toEqual(['acquired']);
    await rig.clock.advance(120_000);
    expect(rig.events.slice(1)).toEqual([
      { type: 'held-long', ...k, fence: 1n, heldMs: expect.any(Number), ttlMs: 3_000 },
    ]);
    await lease.release();
  });

  it('tell of a line that grows without end, at each doubling', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k');
    const gone = new AbortController();
    const wait = { wait: Infinity, signal: gone.signal };
    const waiting = Array.from({ length: 4_500 }, () => rig.watch(rig.locks.acquire('k', wait)));
    await rig.clock.settle();
    const crowds = (): LockEvent[] => rig.events.filter(({ type }) => type === 'crowded');
    expect(crowds()).toEqual([1_001, 2_001, 4_001].map((n) => ({ type: 'crowded', key: 'k', waiting: n })));
    expect(rig.locks.census).toEqual([{ mode: 'exclusive', pattern: undefined, held: 1, waiting: 4_500 }]);
    gone.abort(new Error('enough'));
    await rig.clock.settle();
    expect(waiting.every(({ settled }) => settled)).toBe(true);
    await lease.release();
  });

  it('hand on what a backend reports', async () => {
    const error = new Error('the subscription broke');
    const rig = setUp({
      between: (inner) =>
        Object.assign(Object.create(inner) as typeof inner, {
          start: async (context: Parameters<typeof inner.start>[0]) => {
            await inner.start(context);
            // backends may be anybody's
            for (const what of [error, undefined, 'a text']) context.report(what as Error);
          },
        }),
    });
    await rig.locks.start();
    const errors = [error, new Error('undefined'), new Error('a text')];
    expect(rig.events).toEqual(errors.map((told) => ({ type: 'backend-error', error: told })));
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

describe('a listener', () => {
  it('that throws or rejects, itself or behind operators, harms nobody and goes on listening', async () => {
    const rig = setUp();
    const thrown: unknown[] = [];
    rig.locks['events'].onThrow = (error) => void thrown.push(error);
    const calls = { direct: 0, async: 0, object: 0, piped: 0 };
    rig.locks.events$.subscribe(() => {
      calls.direct++;
      throw new Error('direct');
    });
    rig.locks.events$.subscribe(async () => {
      calls.async++;
      throw new Error('async');
    });
    rig.locks.events$.subscribe({
      next: () => {
        calls.object++;
        throw new Error('object');
      },
    });
    const types: string[] = [];
    rig.locks.events$
      .pipe(
        filter(({ type }) => type !== 'busy'),
        map(({ type }) => type),
      )
      .subscribe((type) => {
        calls.piped++;
        types.push(type);
        throw new Error('piped');
      });
    for (let turn = 0; turn < 2; turn++) await rig.locks.using('k', () => undefined);
    await rig.clock.settle();
    expect(calls).toEqual({ direct: 4, async: 4, object: 4, piped: 4 });
    expect(types).toEqual(['acquired', 'released', 'acquired', 'released']);
    expect(thrown.map((error) => (error as Error).message).sort()).toEqual(
      ['async', 'direct', 'object', 'piped'].flatMap((what) => Array<string>(4).fill(what)),
    );
    expect(rig.events).toHaveLength(4);
  });

  it('whose operators throw hears no more, and what they threw is told', async () => {
    const rig = setUp();
    const thrown: unknown[] = [];
    rig.locks['events'].onThrow = (error) => void thrown.push(error);
    const failure = new Error('operator');
    const broken = rig.locks.events$.pipe(
      map(() => {
        throw failure;
      }),
    );
    broken.subscribe(() => undefined);
    broken.subscribe({ next: () => undefined });
    const handled: unknown[] = [];
    broken.subscribe({ error: (error) => void handled.push(error) });
    await rig.locks.using('k', () => undefined);
    expect(thrown).toEqual([failure, failure]);
    expect(handled).toEqual([failure]);
    expect(rig.events).toHaveLength(2);
  });

  it('that leaves hears no more, and the others go on', async () => {
    const rig = setUp();
    let heard = 0;
    const listening = rig.locks.events$.subscribe(() => heard++);
    await rig.locks.using('k', () => undefined);
    listening.unsubscribe();
    await rig.locks.using('k', () => undefined);
    expect([heard, rig.events.length]).toEqual([2, 4]);
  });
});

describe('the diagnostics channel', () => {
  it('has the events of all services, each with whose it is', async () => {
    const messages: LockMessage[] = [];
    const listen = (message: unknown): void => void messages.push(message as LockMessage);
    subscribe('nestjs-interlock', listen);
    try {
      const rig = setUp({ identity: 'web-1', prefix: 'shop' });
      await rig.locks.using('k', () => undefined);
      expect(messages.map(({ event }) => event)).toEqual(rig.events);
      expect(new Set(messages.map(({ locks }) => JSON.stringify(locks)))).toEqual(
        new Set(['{"prefix":"shop","identity":"web-1","backend":"memory"}']),
      );
    } finally {
      unsubscribe('nestjs-interlock', listen);
    }
    const rig = setUp();
    await rig.locks.using('k', () => undefined);
    expect(messages).toHaveLength(2);
  });

  it('is reason enough to make up events; without anybody who listens there is none', () => {
    const events = new LockEvents();
    const listen = (): void => undefined;
    expect(events.observed).toBe(false);
    subscribe('nestjs-interlock', listen);
    expect(events.observed).toBe(true);
    unsubscribe('nestjs-interlock', listen);
    expect(events.observed).toBe(false);
    const listening = events.stream.subscribe();
    expect(events.observed).toBe(true);
    listening.unsubscribe();
    expect(events.observed).toBe(false);
  });
});
