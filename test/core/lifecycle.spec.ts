import { getEventListeners } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import type { BackendContext, Claim } from '../../lib/backends/lock-backend.js';
import { MemoryServer, memory } from '../../lib/backends/memory/index.js';
import { LockConfigurationError } from '../../lib/core/errors.js';
import { Locks } from '../../lib/core/locks.js';
import { FAULTS } from '../../lib/testing/faulty-backend.js';
import { changed, count, PATIENCE_MS, Rig, setUp } from '../support/rig.js';

describe('the start', () => {
  it('is done once, by whoever comes first, and all verbs wait for it', async () => {
    const rig = setUp({
      between: (inner) =>
        changed(inner, {
          start: async (context) => {
            await rig.sleep(100);
            return inner.start(context);
          },
        }),
    });
    const verbs = [
      rig.watch(rig.locks.acquire('a')),
      rig.watch(rig.locks.tryAcquire('b')),
      rig.watch(rig.locks.inspect('c')),
      rig.watch(rig.locks.forceRelease('d')),
      rig.watch(rig.locks.list().next()),
      rig.watch(rig.locks.start()),
    ];
    await rig.clock.advance(99);
    expect(rig.backend.calls.map(({ method }) => method)).toEqual(['start']);
    await rig.clock.advance(10);
    expect(verbs.map(({ error, settled }) => [settled, error])).toEqual(Array(6).fill([true, undefined]));
    expect(count(rig.backend, 'start')).toBe(1);
  });

  it.each(FAULTS)('[56] that fails (%s): nothing is locked, nothing runs, in a sentence', async (fault) => {
    const rig = setUp({
      plan: { method: 'start', call: 1, fault, onward: true },
      startTimeout: '2s',
      wait: '10s',
    });
    let ran = false;
    for (const call of [
      () => rig.locks.using('k', () => (ran = true)),
      () => rig.locks.acquire('k'),
      () => rig.locks.inspect('k'),
      () => rig.locks.start(),
    ]) {
      const startMs = rig.clock.now();
      const failed = rig.watch<unknown>(call());
      await rig.clock.advance(3_000);
      expect(failed.error).toMatchObject({
        name: 'LockUnavailableError',
        message: expect.stringMatching(/^The lock backend "memory" did not start: /),
      });
      expect(failed.atMs - startMs).toBeLessThanOrEqual(2_000 + PATIENCE_MS);
    }
    expect(ran).toBe(false);
    expect(count(rig.backend, 'claim')).toBe(0);
  });

  it.each(FAULTS)('that failed (%s) is tried again by the next who needs it', async (fault) => {
    const rig = setUp({ plan: { method: 'start', call: 1, fault }, startTimeout: 500 });
    const first = rig.watch(rig.locks.tryAcquire('k'));
    await rig.clock.advance(1_500);
    expect(first.error).toMatchObject({ name: 'LockUnavailableError' });
    const lease = await rig.locks.acquire('k');
    expect(await lease.release()).toBe(true);
  });

  it('hands on a sentence about the configuration as it is', async () => {
    const error = new LockConfigurationError('replicas is 9, but the server has 1; give at most 1.');
    const rig = setUp({ between: (inner) => changed(inner, { start: () => Promise.reject(error) }) });
    expect(await rig.failure(0, rig.locks.start())).toBe(error);
    expect(await rig.failure(0, rig.locks.acquire('k'))).toBe(error);
  });

  it('services that are given clocks that differ are told so', async () => {
    const rig = setUp();
    const backend = memory({ server: rig.server });
    const one = new Locks(backend, { clock: rig.clock });
    await one.start();
    const two = new Locks(backend);
    await expect(two.start()).rejects.toThrow('whose clocks differ');
    await one.stop();
    await two.stop();
  });
});

describe('the shutdown', () => {
  it('[24, 33] with 100 holders and 100 waiters: all told, all given back, at once', async () => {
    const rig = setUp();
    const other = rig.replica();
    const leases = [];
    for (let n = 0; n < 100; n++) leases.push(await rig.locks.acquire(`k${n}`));
    const elsewhere = await other.locks.acquire('elsewhere');
    const abort = new AbortController();
    const waiters = Array.from({ length: 100 }, (_, n) =>
      rig.watch(
        rig.locks.acquire(n % 2 === 0 ? `k${n}` : 'elsewhere', { wait: Infinity, signal: abort.signal }),
      ),
    );
    await rig.clock.advance(100);
    const signals = leases.map(({ signal }) => signal);
    const startMs = rig.clock.now();
    const before = rig.backend.calls.length;
    await rig.within(0, rig.locks.stop());
    expect(rig.clock.now()).toBe(startMs);
    // a release for each that was held, an abandonment for each key that was waited for, and the end
    expect(rig.backend.calls.length - before).toBeLessThanOrEqual(100 + 51 + 1);
    for (const { error } of waiters) {
      expect(error).toMatchObject({
        name: 'LockUnavailableError',
        message: expect.stringMatching(/^Could not lock ".+": the lock service is shutting down\.$/),
      });
    }
    for (const { aborted, reason } of signals) {
      expect(aborted).toBe(true);
      expect(reason).toMatchObject({
        reason: 'shutdown',
        message: expect.stringContaining(
          'the service was shut down while it was held. Let the work end before the application closes.',
        ),
      });
    }
    expect(getEventListeners(abort.signal, 'abort')).toEqual([]);
    expect(await Promise.all(leases.map((lease) => lease.release()))).toEqual(Array(100).fill(false));
    expect(rig.locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
    for (let n = 0; n < 100; n++) expect(await other.locks.inspect(`k${n}`)).toBeNull();
    expect((await other.locks.inspect('elsewhere'))?.waiting).toBe(0);
    await elsewhere.release();
  });

  it('[33] hands the keys to those who wait in other services', async () => {
    const rig = setUp();
    const other = rig.replica();
    await rig.locks.acquire('k');
    const waiting = rig.watch(other.locks.acquire('k'));
    await rig.clock.advance(10);
    await rig.locks.stop();
    await rig.clock.settle();
    expect(waiting.settled).toBe(true);
    await waiting.value?.release();
  });

  it('[56] nothing is locked or run after it, and all who ask are told', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k');
    await rig.locks.stop();
    const calls = rig.backend.calls.length;
    let ran = false;
    for (const call of [
      () => rig.locks.using('k', () => (ran = true)),
      () => rig.locks.acquire('k'),
      () => rig.locks.tryAcquire('k'),
      () => rig.locks.inspect('k'),
      () => rig.locks.forceRelease('k'),
      () => rig.locks.list().next(),
      () => rig.locks.start(),
    ]) {
      expect(await rig.failure(0, call() as Promise<unknown>)).toMatchObject({
        name: 'LockUnavailableError',
        message: expect.stringMatching(/shut/),
      });
    }
    await expect(lease.extend('1s')).rejects.toMatchObject({ name: 'LockLostError', reason: 'shutdown' });
    expect(ran).toBe(false);
    expect(rig.backend.calls).toHaveLength(calls);
  });

  it('is done once, whoever asks for it', async () => {
    const rig = setUp();
    await rig.locks.acquire('k');
    await Promise.all([rig.locks.stop(), rig.locks.stop()]);
    await rig.locks.stop();
    expect(count(rig.backend, 'release')).toBe(1);
    expect(count(rig.backend, 'stop')).toBe(1);
  });

  it('of a service that was never started is harmless', async () => {
    const rig = setUp();
    await rig.locks.stop();
    expect(await rig.failure(0, rig.locks.acquire('k'))).toMatchObject({ name: 'LockUnavailableError' });
  });

  it('of a service that never started takes a shared backend from nobody', async () => {
    const shared = memory();
    const one = new Locks(shared);
    const other = new Locks(shared);
    const lease = await one.acquire('k');
    await other.stop();
    expect(await lease.release()).toBe(true);
    await one.stop();
  });

  it('closes a backend that comes up after it was given up', async () => {
    const rig = setUp({
      startTimeout: '1s',
      between: (inner) =>
        changed(inner, {
          start: async (context) => {
            await rig.sleep(1_500);
            return inner.start(context);
          },
        }),
    });
    const failed = rig.watch(rig.locks.start());
    await rig.clock.advance(1_400);
    expect(failed.error).toMatchObject({ name: 'LockUnavailableError' });
    expect(count(rig.backend, 'stop')).toBe(0);
    await rig.clock.advance(200);
    expect(count(rig.backend, 'stop')).toBe(1);
  });

  it.each(['comes up', 'fails'])(
    'does not take the backend from a later start that %s, when an earlier one comes up too late',
    async (later) => {
      let starts = 0;
      let stops = 0;
      let isOpen = false;
      const rig = new Rig();
      const inner = memory({ server: rig.server });
      const backend = changed(inner, {
        start: async (context: BackendContext) => {
          const nth = ++starts;
          if (nth === 1) await rig.sleep(1_500);
          if (nth === 2 && later === 'fails') {
            await rig.sleep(600);
            throw new Error('down');
          }
          await inner.start(context);
          isOpen = true;
        },
        // like many a backend, it does not count those who use it
        stop: async () => {
          stops++;
          isOpen = false;
        },
        claim: (claim: Claim) => (isOpen ? inner.claim(claim) : Promise.reject(new Error('closed'))),
      });
      const locks = new Locks(backend, { clock: rig.clock, startTimeout: '1s' });
      const first = rig.watch(locks.start());
      await rig.clock.advance(1_000);
      expect(first.error).toMatchObject({ name: 'LockUnavailableError' });
      const second = rig.watch(locks.start());
      await rig.clock.advance(700);
      expect(second.error !== undefined).toBe(later === 'fails');
      const lease = await rig.within(0, locks.acquire('k'));
      expect(await rig.within(0, lease.release())).toBe(true);
      expect(stops).toBe(0);
      await rig.within(0, locks.stop());
      // one for each start that succeeded
      expect([starts, stops]).toEqual(later === 'fails' ? [3, 2] : [2, 2]);
    },
  );

  it('while it is starting ends the start for all', async () => {
    const rig = setUp();
    const starting = rig.watch(rig.locks.start());
    const waiting = rig.watch(rig.locks.acquire('k'));
    await rig.locks.stop();
    await rig.clock.settle();
    expect(starting.settled).toBe(true);
    expect(waiting.error).toMatchObject({ name: 'LockUnavailableError' });
    expect(await rig.failure(0, rig.locks.acquire('k'))).toMatchObject({ name: 'LockUnavailableError' });
  });

  it.each(FAULTS)('[24, 33] is bounded, whatever the server does (%s)', async (fault) => {
    const rig = setUp({ shutdownTimeout: '2s', callTimeout: 500 });
    const other = rig.replica();
    for (let n = 0; n < 50; n++) await rig.locks.acquire(`k${n}`, { ttl: '10s' });
    const elsewhere = await other.locks.acquire('elsewhere');
    const waiting = rig.watch(rig.locks.acquire('elsewhere', { wait: Infinity }));
    await rig.clock.advance(20);
    rig.backend.plan = () => fault;
    const startMs = rig.clock.now();
    const stopped = rig.watch(rig.locks.stop());
    await rig.clock.advance(20_000);
    // releases, then what is owed for them, then the backend
    expect(stopped.atMs - startMs).toBeLessThanOrEqual(500 + 2_000 + 500 + PATIENCE_MS);
    expect(stopped.error).toBeUndefined();
    expect(waiting.error).toMatchObject({ name: 'LockUnavailableError' });
    expect(rig.locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
    await elsewhere.release();
  });

  it.each(FAULTS)('[24] settles a release and a renewal that are in flight (%s)', async (fault) => {
    const rig = setUp({ shutdownTimeout: 0, callTimeout: '1m' });
    const released = await rig.locks.acquire('released', { ttl: '1h' });
    const renewed = await rig.locks.acquire('renewed', { ttl: '1h' });
    rig.backend.plan = ({ method }) => (method === 'stop' ? undefined : fault);
    const release = rig.watch(released.release());
    const extension = rig.watch(renewed.extend('2h'));
    const waiting = rig.watch(rig.locks.using('other', () => 1));
    await rig.clock.settle();
    const stopped = rig.watch(rig.locks.stop());
    await rig.clock.advance(130_000);
    expect([release, extension, waiting, stopped].map(({ settled }) => settled)).toEqual(Array(4).fill(true));
    await rig.clock.advance(3_600_000);
  });

  it('[33] waits for a release that was called before it and is not confirmed yet', async () => {
    const rig = setUp({ plan: { method: 'release', call: 1, fault: 'before' } });
    const other = rig.replica();
    const lease = await rig.locks.acquire('k', { ttl: '1h' });
    const released = rig.watch(lease.release());
    await rig.clock.settle();
    // now in the pause before its second try
    await rig.within(1_000, rig.locks.stop());
    expect(released.value).toBe(true);
    expect(await other.locks.inspect('k')).toBeNull();
  });

  it('[19, 33] waits for a release that waits for a renewal', async () => {
    const rig = setUp({
      between: (inner) =>
        changed(inner, {
          renew: async (grants) => {
            await rig.sleep(100);
            return inner.renew(grants);
          },
        }),
    });
    const other = rig.replica();
    const lease = await rig.locks.acquire('k', { ttl: '3s' });
    await rig.clock.advance(1_000);
    const released = rig.watch(lease.release());
    await rig.clock.settle();
    await rig.within(1_000, rig.locks.stop());
    expect(released.value).toBe(true);
    expect(await other.locks.inspect('k')).toBeNull();
  });

  it('[19, 33] settles a renewal in flight before it gives the key back', async () => {
    let inFlight = 0;
    const atRelease: number[] = [];
    const rig = setUp({
      between: (inner) =>
        changed(inner, {
          renew: async (grants) => {
            inFlight++;
            await rig.sleep(100);
            inFlight--;
            return inner.renew(grants);
          },
          release: (grant, lingerMs) => {
            atRelease.push(inFlight);
            return inner.release(grant, lingerMs);
          },
        }),
    });
    const lease = await rig.locks.acquire('k', { ttl: '3s' });
    const { signal } = lease;
    await rig.clock.advance(1_000);
    expect(inFlight).toBe(1);
    const stopped = rig.watch(rig.locks.stop());
    expect(signal.aborted).toBe(true);
    await rig.clock.advance(150);
    expect({ stopped: stopped.settled, atRelease }).toEqual({ stopped: true, atRelease: [0] });
  });

  it('[33] leaves nothing of a lease whose first claim may still be on its way', async () => {
    const rig = setUp({ plan: { method: 'claim', call: 1, fault: 'hang' } });
    const other = rig.replica();
    const waiting = rig.watch(rig.locks.acquire('k', { ttl: '1h' }));
    await rig.clock.advance(1_100);
    expect(waiting.value?.held).toBe(true);
    await rig.locks.stop();
    // the release frees it, and the abandonment refuses what arrives late
    expect(rig.backend.calls.slice(-3).map(({ method }) => method)).toEqual(['release', 'abandon', 'stop']);
    expect(await other.locks.inspect('k')).toBeNull();
  });

  it('[33] at any step of an acquisition: nothing is left, and nobody hangs', async () => {
    for (let steps = 0; steps < 30; steps++) {
      const rig = setUp();
      const other = rig.replica();
      await rig.locks.start();
      const acquiring = [
        rig.watch(rig.locks.acquire('a', { ttl: '1h' })),
        rig.watch(rig.locks.acquire('a', { ttl: '1h' })),
        rig.watch(rig.locks.acquire(['b', 'c'], { ttl: '1h' })),
        rig.watch(rig.locks.tryAcquire('d', { ttl: '1h' })),
        rig.watch(rig.locks.using('e', { ttl: '1h' }, () => rig.sleep(5))),
      ];
      for (let step = 0; step < steps; step++) await Promise.resolve();
      await rig.within(0, rig.locks.stop());
      await rig.clock.advance(10);
      expect(acquiring.every(({ settled }) => settled)).toBe(true);
      expect(rig.locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
      for (const key of ['a', 'b', 'c', 'd', 'e']) expect(await other.locks.inspect(key)).toBeNull();
    }
  });

  it('a backend that is shared goes on for the others', async () => {
    const rig = setUp();
    const backend = memory({ server: rig.server });
    const one = new Locks(backend, { clock: rig.clock });
    const two = new Locks(backend, { clock: rig.clock });
    await one.acquire('a');
    const lease = await two.acquire('b');
    await one.stop();
    expect(await lease.release()).toBe(true);
    await two.stop();
    expect(await backend.nodes()).toMatchObject([{ state: 'down' }]);
  });

  it('a server of its own is all that a service needs by default', async () => {
    const server = new MemoryServer();
    const locks = new Locks(memory({ server }));
    await locks.using('k', (lease) => expect(lease.held).toBe(true));
    await locks.stop();
    expect(server.size.keys).toBe(0);
  });
});
