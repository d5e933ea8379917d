import { spawn, type ChildProcess } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import { createInterface } from 'node:readline';
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { SystemClock, type Clock } from '../../lib/core/clock.js';
import { LockLostError, LockTimeoutError } from '../../lib/core/errors.js';
import type { Lease } from '../../lib/core/lease.js';
import type { Keys } from '../../lib/core/key.js';
import { Locks } from '../../lib/core/locks.js';
import type { LockOptions } from '../../lib/core/options.js';
import type { LockSettings } from '../../lib/core/settings.js';
import { LockService } from '../../lib/lock.service.js';
import { faulty, type FaultyBackend, type Fault } from '../../lib/testing/faulty-backend.js';
import { CompiledLibrary } from '../support/compiled-library.js';
import { HOSTILE_KEYS } from '../support/hostile-keys.js';
import type { Share } from '../faults/judges/share.js';
import { LeaseWitness } from '../support/lease-witness.js';
import type { Turn } from '../support/lock-child.js';
import { TelemetryLedger } from '../support/telemetry-ledger.js';

/** Why a line cannot be asked of a backend: said, so that it is never left out in silence. */
export interface Absent {
  readonly absent: string;
}

export interface LocksSuiteOptions {
  /** Once, before all. */
  open?(): Promise<void>;
  /** Once, after all. */
  close?(): Promise<void>;
  /** Another client of the same server; each service gets one of its own. */
  create(): LockBackend | Promise<LockBackend>;
  /** How a process of its own reaches the server: the first arguments of `lock-child.ts`. */
  readonly processes: (() => readonly [kind: string, target: string]) | Absent;
  /** Said when a holder in another process is not told of an eviction: then it finds out by its next renewal. */
  readonly evictionsTold?: Absent;
  /** Cuts the channel on which hints come, for all clients. */
  readonly killNotifications: (() => Promise<void>) | Absent;
}

/** What a machine with two busy cores may add to anything. */
const SLACK_MS = 400;
/** Long enough that a renewal is in time on such a machine: its event loop may stand still for a third of a second. */
const TTL_MS = 1_000;
/** More than there are cores, and connections in a pool of one. */
const PROCESSES = 8;
const TURNS = 15;
const CHILD = 'test/support/lock-child';

interface Service {
  readonly locks: LockService;
  readonly backend: FaultyBackend;
  readonly ledger: TelemetryLedger;
}

/** The services and processes of one test. */
class Stage {
  private static stages = 0;
  readonly clock = new SystemClock();
  readonly witness = new LeaseWitness();
  readonly prefix = `suite-${process.pid}-${++Stage.stages}-${Date.now().toString(36)}`;
  private readonly services: Service[] = [];
  private readonly children: ChildProcess[] = [];

  constructor(
    private readonly options: LocksSuiteOptions,
    private readonly program: string,
  ) {}

  async service(settings: LockSettings = {}): Promise<Service> {
    const backend = faulty(await this.options.create());
    const locks = new LockService(backend, { prefix: this.prefix, ttl: TTL_MS, ...settings });
    await locks.start();
    const service = { locks, backend, ledger: new TelemetryLedger(locks) };
    this.services.push(service);
    return service;
  }

  async all(count: number): Promise<Locks[]> {
    const locks: Locks[] = [];
    for (let n = 0; n < count; n++) locks.push((await this.service()).locks);
    return locks;
  }

  /** Holds the keys under the eyes of the witness. */
  async using(
    locks: Locks,
    keys: Keys,
    options: LockOptions,
    body: (lease: Lease) => unknown,
  ): Promise<void> {
    const lease = await locks.acquire(keys, options);
    const { mode = 'exclusive', permits, take = 1 } = options;
    const share: Share =
      permits === undefined ? { mode, take: 1, of: 1 } : { mode: 'permits', take, of: permits };
    this.witness.hold(lease, share);
    await body(lease);
    this.witness.end(lease);
    await lease.release();
  }

  /** A process that tells lines of JSON. */
  process(...args: readonly string[]): { child: ChildProcess; lines: AsyncIterableIterator<string> } {
    const { processes } = this.options;
    if (typeof processes !== 'function') throw new Error(processes.absent);
    const [kind, target] = processes();
    const child = spawn(process.execPath, [this.program, kind, target, this.prefix, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.children.push(child);
    return { child, lines: createInterface(child.stdout)[Symbol.asyncIterator]() };
  }

  /** Stops everything, and expects nothing to be left. */
  async close(): Promise<void> {
    for (const child of this.children) child.kill('SIGKILL');
    for (const { backend, locks, ledger } of this.services) {
      backend.plan = [];
      await ledger.assertAgreed();
      await locks.stop();
      expect(locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
      await ledger.assertEven();
    }
    expect(this.witness.violations).toEqual([]);
    const inspector = new Locks(await this.options.create(), { prefix: this.prefix });
    const left: string[] = [];
    for await (const { key } of inspector.list()) left.push(key);
    await inspector.stop();
    expect(left).toEqual([]);
  }
}

async function timed<T>(call: () => Promise<T>): Promise<{ tookMs: number; value?: T; error?: unknown }> {
  const startMs = performance.now();
  try {
    const value = await call();
    return { tookMs: performance.now() - startMs, value };
  } catch (error) {
    return { tookMs: performance.now() - startMs, error };
  }
}

async function until(
  reached: () => boolean | Promise<boolean>,
  what: string,
  limitMs = 5_000,
): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await reached())) {
    if (performance.now() > endMs) throw new Error(`${what} did not come within ${limitMs} ms`);
    await sleep(2);
  }
}

function hungBy(...methods: readonly string[]): (call: { method: string }) => Fault | undefined {
  return ({ method }) => (methods.length === 0 || methods.includes(method) ? 'hang' : undefined);
}

/** A clock that is set wrong. */
function skewed(byMs: number): Clock {
  const clock = new SystemClock();
  return {
    now: () => clock.now() + byMs,
    setTimer: (callback, delayMs, background) => clock.setTimer(callback, delayMs, background),
  };
}

/**
 * What {@link Locks} and a backend promise together, in real time on a real server. What a backend alone promises is
 * in `describeLockBackend`, what the core alone does in `test/core`.
 */
export function describeLocks(name: string, options: LocksSuiteOptions): void {
  describe(`locks on ${name}`, () => {
    let stage: Stage;
    let library: CompiledLibrary;
    const scene = (title: string, body: (stage: Stage) => Promise<void>): void => {
      it(title, async () => {
        stage = new Stage(options, library.pathOf(CHILD));
        await body(stage);
      });
    };
    beforeAll(async () => {
      // it warns of what the scenes do to it
      Logger.overrideLogger(false);
      library = await CompiledLibrary.make(CHILD);
      await options.open?.();
    });
    afterEach(() => stage.close());
    afterAll(async () => {
      await library[Symbol.asyncDispose]();
      await options.close?.();
    });

    basics(scene);
    waiting(scene, options);
    loss(scene);
    ownership(scene, options);
    order(scene);
    sharing(scene);
    processes(scene, options);
  });
}

type Scene = (title: string, body: (stage: Stage) => Promise<void>) => void;

function basics(scene: Scene): void {
  scene('[1] a free key is acquired; a try on a held one says null, at once', async (stage) => {
    const [one, two] = await pair(stage);
    const lease = await one.acquire('k');
    expect(lease).toMatchObject({ key: 'k', held: true });
    expect(await two.tryAcquire('k')).toBeNull();
    expect(await one.tryAcquire('k')).toBeNull();
    expect((await two.inspect('k'))?.waiting).toBe(0);
    expect(await lease.release()).toBe(true);
    expect(await (await two.tryAcquire('k'))?.release()).toBe(true);
  });

  scene(
    '[2] after the release the next one gets it at once, of this service or of another',
    async (stage) => {
      const [one, two] = await pair(stage);
      for (const locks of [one, two]) {
        const lease = await one.acquire('k', { ttl: '10s' });
        const next = timed(() => locks.acquire('k'));
        await sleep(50);
        await lease.release();
        const { tookMs, value } = await next;
        expect(tookMs).toBeLessThan(50 + SLACK_MS);
        await value?.release();
      }
    },
  );

  scene('[2] different keys never interfere, and keys are case-sensitive', async (stage) => {
    const [one, two] = await pair(stage);
    const leases = [];
    for (const key of ['seat', 'Seat', 'SEAT', 'seat:1', 'seat:11', 'seat:']) {
      leases.push(await two.acquire(key, { wait: 0 }));
      expect(await one.tryAcquire(key)).toBeNull();
    }
    for (const lease of leases) expect(await lease.release()).toBe(true);
  });

  scene('[4] hostile keys: distinct ones never collide, equal ones always do', async (stage) => {
    const [one, two] = await pair(stage);
    const leases = [];
    for (const key of HOSTILE_KEYS) leases.push(await one.acquire(key, { wait: 0, ttl: '30s' }));
    for (const key of HOSTILE_KEYS) {
      expect(await two.tryAcquire(key)).toBeNull();
      expect(await two.inspect(key)).toMatchObject({ key, mode: 'exclusive' });
    }
    for (const lease of leases) expect(await lease.release()).toBe(true);
  });

  scene('[5] the prefix isolates', async (stage) => {
    const { locks } = await stage.service();
    const other = await stage.service({ prefix: `${stage.prefix}/other` });
    const lease = await locks.acquire('k');
    const theirs = await other.locks.acquire('k', { wait: 0 });
    expect(await other.locks.forceRelease('j')).toBe(false);
    expect(lease.held && theirs.held).toBe(true);
    await theirs.release();
    await lease.release();
  });

  scene('[6] of 100 contenders at once never two are inside, and all get in', async (stage) => {
    const services = await stage.all(4);
    let turns = 0;
    const work = Array.from({ length: 100 }, (_, n) =>
      stage.using(services[n % 4]!, 'k', { wait: '20s' }, async () => {
        turns++;
        await sleep(n % 3);
      }),
    );
    await Promise.all(work);
    expect(turns).toBe(100);
  });

  scene("[7] using returns the body's value and rethrows its error, the same object", async (stage) => {
    const { locks, backend } = await stage.service({ callTimeout: 100 });
    const value = {};
    const thrown = new Error('sold out');
    const failing = (): never => {
      throw thrown;
    };
    for (const plan of [undefined, 'before', 'after', 'hang'] as const) {
      backend.plan = ({ method }) => (method === 'release' ? plan : undefined);
      expect(await locks.using('a', () => value)).toBe(value);
      await expect(locks.using('b', failing)).rejects.toBe(thrown);
      backend.plan = [];
      await until(() => locks.gauges.owed === 0, 'the clean-up');
    }
  });

  scene('[8] await using releases once; a second release is harmless, and says the same', async (stage) => {
    const { locks, backend } = await stage.service();
    let leaked;
    {
      await using lease = await locks.acquire('k');
      leaked = lease;
    }
    expect(await leaked.release()).toBe(true);
    expect(backend.calls.filter(({ method }) => method === 'release')).toHaveLength(1);
  });

  scene('[47] fences strictly rise: over release, expiry, eviction and clean-up', async (stage) => {
    const [one, two] = await pair(stage);
    let newest = 0n;
    const rises = (lease: Lease): Lease => {
      expect(lease.fence).toBeGreaterThan(newest);
      newest = lease.fence;
      return lease;
    };
    for (let round = 0; round < 3; round++) {
      await rises(await one.acquire('k')).release();
      const { expiresInMs } = rises(await two.acquire('k', { ttl: 300, renew: false }));
      await sleep(expiresInMs + 20);
      rises(await one.acquire('k'));
      await two.forceRelease('k');
      await rises(await two.acquire('k')).release();
    }
  });
}

function waiting(scene: Scene, options: LocksSuiteOptions): void {
  scene(
    '[9] wait is kept, 0 is one try, and a wait without end ends when the key is freed',
    async (stage) => {
      const [one, two] = await pair(stage);
      const lease = await one.acquire('k');
      for (const wait of [0, 30, 300]) {
        const { tookMs, error } = await timed(() => two.acquire('k', { wait }));
        expect(error).toBeInstanceOf(LockTimeoutError);
        expect(tookMs).toBeGreaterThanOrEqual(wait - 2);
        expect(tookMs).toBeLessThan(wait + SLACK_MS);
      }
      const waiter = two.acquire('k', { wait: Infinity });
      await sleep(2 * TTL_MS);
      await lease.release();
      expect(await (await waiter).release()).toBe(true);
    },
  );

  scene('[10] an abort: nothing is sent beforehand, nothing is left after', async (stage) => {
    const holder = await stage.service();
    const { locks, backend } = await stage.service();
    const lease = await holder.locks.acquire('k');
    const before = backend.calls.length;
    await expect(locks.acquire('k', { signal: AbortSignal.abort('over') })).rejects.toBe('over');
    expect(backend.calls).toHaveLength(before);
    const abort = new AbortController();
    const aborted = timed(() => locks.acquire('k', { signal: abort.signal, wait: Infinity }));
    await until(async () => (await holder.locks.inspect('k'))?.waiting === 1, 'the waiter');
    abort.abort('over');
    const endMs = performance.now();
    expect((await aborted).error).toBe('over');
    expect(performance.now() - endMs).toBeLessThan(SLACK_MS);
    expect(getEventListeners(abort.signal, 'abort')).toEqual([]);
    await until(async () => (await holder.locks.inspect('k'))?.waiting === 0, 'the empty line');
    await lease.release();
  });

  scene(
    '[11] an abort at the very moment of the grant: held or given back, never orphaned',
    async (stage) => {
      const holder = await stage.service({ ttl: '30s' });
      const { locks } = await stage.service({ ttl: '30s' });
      let granted = 0;
      for (let round = 0; round < 60; round++) {
        const lease = await holder.locks.acquire('k');
        const abort = new AbortController();
        const waiter = timed(() => locks.acquire('k', { signal: abort.signal }));
        await sleep(3);
        void lease.release();
        for (let step = 0; step < round % 30; step++) {
          if (step % 3 === 0) await immediate();
          else await Promise.resolve();
        }
        abort.abort();
        const { value } = await waiter;
        if (value) granted++;
        await value?.release();
        const { tookMs } = await timed(() => stage.using(holder.locks, 'k', { wait: '5s' }, () => undefined));
        expect(tookMs).toBeLessThan(1_000 + SLACK_MS);
      }
      expect(granted).toBeLessThan(60);
    },
  );

  scene('[12] a release while a waiter is about to listen is not missed', async (stage) => {
    const [one, two] = await pair(stage);
    for (let round = 0; round < 40; round++) {
      const lease = await one.acquire('k', { ttl: '30s' });
      const waiter = timed(() => two.acquire('k', { ttl: '30s' }));
      for (let step = 0; step < round; step++) await Promise.resolve();
      await lease.release();
      const { value, tookMs } = await waiter;
      expect(tookMs).toBeLessThan(1_000 + SLACK_MS);
      await value?.release();
    }
  });

  scene("[13] one waiter's time-out does not deafen the others", async (stage) => {
    const [one, two] = await pair(stage);
    const lease = await one.acquire('k', { ttl: '30s' });
    const others = [two, two, one].map((locks) => timed(() => locks.acquire('k', { wait: '10s' })));
    await sleep(20);
    for (const locks of [one, two]) {
      await expect(locks.acquire('k', { wait: 60 })).rejects.toBeInstanceOf(LockTimeoutError);
    }
    const freedMs = performance.now();
    await lease.release();
    for (const other of others) void other.then(({ value }) => value?.release());
    await Promise.all(others);
    expect(performance.now() - freedMs).toBeLessThan(2 * SLACK_MS);
  });

  const { killNotifications } = options;
  if (typeof killNotifications === 'function') {
    scene('[14] when the notifications die, waiters fall back to polling within a second', async (stage) => {
      const [one, two] = await pair(stage);
      for (let round = 0; round < 3; round++) {
        const lease = await one.acquire('k', { ttl: '30s' });
        const waiter = timed(() => two.acquire('k', { wait: '10s', ttl: '30s' }));
        await until(async () => (await one.inspect('k'))?.waiting === 1, 'the waiter');
        await killNotifications();
        const freedMs = performance.now();
        await lease.release();
        const { value } = await waiter;
        expect(performance.now() - freedMs).toBeLessThan(1_000 + SLACK_MS);
        expect(await value?.release()).toBe(true);
      }
    });
  } else {
    scene(`[14] has no notifications to lose: ${killNotifications.absent}`, async (stage) => {
      const { locks } = await stage.service();
      expect(locks.gauges.waiting).toBe(0);
    });
  }

  scene(
    '[15] many who wait in one service are one to the server, and a hand-off is O(1) calls',
    async (stage) => {
      const holder = await stage.service({ ttl: '30s' });
      const { locks, backend } = await stage.service({ ttl: '30s' });
      const lease = await holder.locks.acquire('k');
      const waiters = Promise.all(
        Array.from({ length: 2_000 }, () => locks.using('k', { wait: Infinity }, () => undefined)),
      );
      waiters.catch(() => undefined);
      const waiting = async (): Promise<number> => (await holder.locks.inspect('k'))?.waiting ?? 0;
      await until(async () => (await waiting()) === 1, 'the waiter');
      for (let look = 0; look < 10; look++) {
        await sleep(10);
        expect(await waiting()).toBeLessThanOrEqual(1);
      }
      const before = backend.calls.length;
      await lease.release();
      await waiters;
      expect(backend.calls.length - before).toBeLessThan(2_000 * 3);
    },
  );

  scene(
    '[16] a holder that falls silent is replaced about at its ttl, without any message',
    async (stage) => {
      const dead = await stage.service();
      const { locks } = await stage.service();
      const lease = await dead.locks.acquire('k');
      stage.witness.hold(lease);
      dead.backend.plan = hungBy();
      const { tookMs, value } = await timed(() => locks.acquire('k', { wait: '10s' }));
      if (value) stage.witness.hold(value);
      expect(tookMs).toBeGreaterThan(TTL_MS - 200);
      expect(tookMs).toBeLessThan(TTL_MS + 1_000 + SLACK_MS);
      if (value) stage.witness.end(value);
      expect(await value?.release()).toBe(true);
    },
  );
}

function loss(scene: Scene): void {
  scene('[17] a lease expires without renewal, and lasts with it', async (stage) => {
    const [one, two] = await pair(stage);
    const brief = await one.acquire('brief', { ttl: 300, renew: false });
    const long = await one.acquire('long', { ttl: TTL_MS });
    await sleep(350);
    expect([brief.held, brief.signal.aborted]).toEqual([false, true]);
    expect(await (await two.tryAcquire('brief'))?.release()).toBe(true);
    await sleep(3 * TTL_MS);
    expect(await two.tryAcquire('long')).toBeNull();
    long.assertHeld();
    expect(await long.release()).toBe(true);
  });

  scene('[19] no renewal after the release, and none in flight revives the key', async (stage) => {
    const { locks, backend } = await stage.service();
    for (let round = 0; round < 3; round++) {
      const lease = await locks.acquire('k');
      // the first renewal is due by then
      await sleep(TTL_MS / 3 + round);
      expect(await lease.release()).toBe(true);
    }
    const before = backend.calls.length;
    await sleep(TTL_MS);
    expect(backend.calls).toHaveLength(before);
    expect(await locks.inspect('k')).toBeNull();
  });

  scene('[20] one failed renewal and then a good one is not a loss', async (stage) => {
    const faults = ['before', 'after', 'hang', 'hang-after', 'rubbish'] as const;
    const work = faults.map(async (fault) => {
      const { locks, backend } = await stage.service();
      backend.plan = { method: 'renew', call: 1, fault };
      const lease = await locks.acquire(fault, { ttl: '2s' });
      await sleep(2_400);
      lease.assertHeld();
      expect(await lease.release()).toBe(true);
    });
    await Promise.all(work);
  });

  scene('[21] a key that was taken away: the signal fires within a renewal', async (stage) => {
    const [one, two] = await pair(stage);
    const lease = await one.acquire('k', { ttl: '3s' });
    const { signal } = lease;
    const takenMs = performance.now();
    expect(await two.forceRelease('k')).toBe(true);
    await until(() => signal.aborted, 'the signal');
    expect(performance.now() - takenMs).toBeLessThan(1_000 + SLACK_MS);
    expect(signal.reason).toMatchObject({ name: 'LockLostError', reason: 'gone' });
    expect(await lease.release()).toBe(false);
  });

  scene(
    '[22] a silent server: the signal fires by the local deadline, before anybody else gets in',
    async (stage) => {
      const { locks, backend } = await stage.service();
      const other = await stage.service();
      const startMs = performance.now();
      const lease = await locks.acquire('k');
      stage.witness.hold(lease);
      const { signal } = lease;
      backend.plan = hungBy();
      const next = other.locks.acquire('k', { wait: '10s' });
      await until(() => signal.aborted, 'the signal');
      expect(performance.now() - startMs).toBeLessThan(TTL_MS + SLACK_MS);
      expect(signal.reason).toMatchObject({ reason: 'silent' });
      expect(() => lease.assertHeld()).toThrow(LockLostError);
      const won = await next;
      stage.witness.hold(won);
      stage.witness.end(won);
      await won.release();
    },
  );

  scene('[25] an event loop that was blocked past the ttl: assertHeld throws at once', async (stage) => {
    const { locks } = await stage.service();
    const lease = await locks.acquire('k', { ttl: 150 });
    const endMs = performance.now() + 200;
    while (performance.now() < endMs);
    expect(() => lease.assertHeld()).toThrow(LockLostError);
  });

  scene('[27] extend changes the remaining time, on the server as well', async (stage) => {
    const [one, two] = await pair(stage);
    const lease = await one.acquire('k', { ttl: TTL_MS, renew: false });
    await lease.extend('6s');
    await sleep(TTL_MS + 100);
    expect(await two.tryAcquire('k')).toBeNull();
    expect(lease.expiresInMs).toBeGreaterThan(3_500);
    expect((await two.inspect('k'))?.holders[0]?.expiresInMs).toBeGreaterThan(3_500);
    expect(await lease.release()).toBe(true);
  });

  scene('[28] 1,000 leases renew in at most 10 calls a tick', async (stage) => {
    const { locks, backend } = await stage.service();
    const leases: Lease[] = [];
    // not all at once: there are backends with one connection
    while (leases.length < 1_000) {
      const some = Array.from({ length: 25 }, (_, n) =>
        locks.acquire(`k${leases.length + n}`, { ttl: '3s' }),
      );
      leases.push(...(await Promise.all(some)));
    }
    const before = backend.calls.filter(({ method }) => method === 'renew').length;
    await sleep(3_000);
    expect(backend.calls.filter(({ method }) => method === 'renew').length - before).toBeLessThanOrEqual(
      4 * 10,
    );
    expect(leases.filter(({ held }) => held)).toHaveLength(1_000);
    while (leases.length > 0) await Promise.all(leases.splice(0, 25).map((lease) => lease.release()));
  });
}

function ownership(scene: Scene, { evictionsTold }: LocksSuiteOptions): void {
  scene(
    '[29] a stale owner can neither release nor extend after a take-over; the new one can',
    async (stage) => {
      const [one, two] = await pair(stage);
      const stale = await one.acquire('k');
      await two.forceRelease('k');
      const owner = await two.acquire('k');
      expect(await stale.release()).toBe(false);
      const late = await one.acquire('j');
      await two.forceRelease('j');
      const next = await two.acquire('j');
      await expect(late.extend('10s')).rejects.toBeInstanceOf(LockLostError);
      await owner.extend('10s');
      expect([owner.held, next.held]).toEqual([true, true]);
      expect(await owner.release()).toBe(true);
      expect(await next.release()).toBe(true);
    },
  );

  scene('[30] a release after the expiry says false, one whose reply was lost says true', async (stage) => {
    const { locks, backend } = await stage.service();
    const expired = await locks.acquire('k', { ttl: 100, renew: false });
    await sleep(150);
    expect(await expired.release()).toBe(false);
    const lease = await locks.acquire('k');
    backend.plan = { method: 'release', call: backend.calls.filter(isRelease).length + 1, fault: 'after' };
    expect(await lease.release()).toBe(true);
    expect(await locks.inspect('k')).toBeNull();
  });

  scene('[31] a handle is adopted and released elsewhere', async (stage) => {
    const [one, two] = await pair(stage);
    const lease = await one.acquire(['a', 'b'], { renew: false });
    const adopted = await two.adopt(lease.handle());
    expect(adopted.fences).toEqual(lease.fences);
    await sleep(2 * TTL_MS);
    expect(lease.held).toBe(false);
    adopted.assertHeld();
    expect(await one.tryAcquire('a')).toBeNull();
    expect(await adopted.release()).toBe(true);
  });

  scene('[32] inspect tells all, forceRelease frees, wakes and tells the holder', async (stage) => {
    const holder = await stage.service({ identity: 'holder' });
    const { locks } = await stage.service();
    const lease = await holder.locks.acquire('k', { ttl: evictionsTold ? '2s' : '20s' });
    const { signal } = lease;
    const waiter = timed(() => locks.acquire('k', { wait: '10s' }));
    await until(async () => (await locks.inspect('k'))?.waiting === 1, 'the waiter');
    expect(await locks.inspect('k')).toEqual({
      key: 'k',
      mode: 'exclusive',
      of: 1,
      holders: [
        {
          owner: expect.stringMatching(/^holder~/),
          take: 1,
          fence: lease.fence,
          expiresInMs: expect.any(Number),
        },
      ],
      waiting: 1,
    });
    const freedMs = performance.now();
    expect(await locks.forceRelease('k')).toBe(true);
    const { value } = await waiter;
    await until(() => signal.aborted, 'the signal');
    expect(performance.now() - freedMs).toBeLessThan(1_000 + SLACK_MS);
    expect(await value?.release()).toBe(true);
    expect(await locks.forceRelease('k')).toBe(false);
  });

  scene('[33] a shutdown releases every lease and rejects every waiter', async (stage) => {
    const { locks } = await stage.service({ ttl: '30s' });
    const other = await stage.service();
    const elsewhere = await other.locks.acquire('elsewhere');
    const acquiring = Array.from({ length: 100 }, (_, n) => locks.acquire(`k${n}`));
    const leases = await Promise.all(acquiring);
    const waiters = Array.from({ length: 100 }, (_, n) =>
      timed(() => locks.acquire(n % 2 === 0 ? `k${n}` : 'elsewhere', { wait: Infinity })),
    );
    await until(async () => (await other.locks.inspect('elsewhere'))?.waiting === 1, 'the waiter');
    const { tookMs } = await timed(() => locks.stop());
    expect(tookMs).toBeLessThan(1_000 + SLACK_MS);
    for (const { error } of await Promise.all(waiters))
      expect(error).toMatchObject({ name: 'LockUnavailableError' });
    expect(leases.filter(({ held }) => held)).toEqual([]);
    expect((await other.locks.inspect('elsewhere'))?.waiting).toBe(0);
    for (let n = 0; n < 100; n += 9) expect(await other.locks.inspect(`k${n}`)).toBeNull();
    await elsewhere.release();
  });
}

function order(scene: Scene): void {
  scene('[36] first come, first served, inside a service and across services', async (stage) => {
    const services = await stage.all(3);
    const lease = await services[0]!.acquire('k', { ttl: '30s' });
    const order: number[] = [];
    const work: Promise<void>[] = [];
    for (let n = 0; n < 60; n++) {
      work.push(stage.using(services[n % 3]!, 'k', { wait: '20s', ttl: '30s' }, () => order.push(n)));
      await sleep(3);
    }
    await lease.release();
    await Promise.all(work);
    for (const own of [0, 1, 2]) {
      const ofOne = order.filter((n) => n % 3 === own);
      expect(ofOne).toEqual([...ofOne].sort((a, b) => a - b));
    }
    // nobody is overtaken more than once by each of the others
    order.forEach((n, place) => expect(Math.abs(n - place)).toBeLessThanOrEqual(3));
  });

  scene('[37] a waiter who left or died shifts nobody for longer than a second', async (stage) => {
    const [one, two] = await pair(stage);
    const dead = await stage.service();
    const lease = await one.acquire('k', { ttl: '30s' });
    const ghost = timed(() => dead.locks.acquire('k', { wait: 1_500 }));
    await until(async () => (await one.inspect('k'))?.waiting === 1, 'the ghost');
    const waiter = timed(() => two.acquire('k', { wait: '20s' }));
    await until(async () => (await one.inspect('k'))?.waiting === 2, 'the waiter');
    dead.backend.plan = hungBy();
    const freedMs = performance.now();
    await lease.release();
    const { value } = await waiter;
    expect(performance.now() - freedMs).toBeLessThan(1_500 + SLACK_MS);
    await value?.release();
    await ghost;
  });

  scene('[38] clients with clocks an hour off change nothing', async (stage) => {
    const hourMs = 3_600_000;
    const settings = [{}, { clock: skewed(hourMs) }, { clock: skewed(-hourMs) }];
    const services: Locks[] = [];
    for (const setting of settings) services.push((await stage.service(setting)).locks);
    const work = Array.from({ length: 45 }, (_, n) =>
      stage.using(services[n % 3]!, 'k', { wait: '20s' }, async (lease) => {
        expect(lease.expiresInMs).toBeGreaterThan(0);
        expect(lease.expiresInMs).toBeLessThan(TTL_MS);
        await sleep(1);
      }),
    );
    await Promise.all(work);
    const lease = await services[1]!.acquire('k');
    await sleep(2 * TTL_MS);
    expect(await services[2]!.tryAcquire('k')).toBeNull();
    expect(await lease.release()).toBe(true);
  });

  scene('[38] taking the key again at once starves nobody', async (stage) => {
    const services = await stage.all(3);
    const turns = [0, 0, 0];
    const sum = (): number => turns.reduce((sum, count) => sum + count, 0);
    const greedy = services.map(async (locks, index) => {
      while (sum() < 90) {
        await stage.using(locks, 'k', { wait: '10s', ttl: '5s' }, async () => {
          turns[index]!++;
          await sleep(1);
        });
      }
    });
    await Promise.all(greedy);
    expect(Math.max(...turns) / Math.min(...turns)).toBeLessThanOrEqual(1.5);
  });
}

function sharing(scene: Scene): void {
  scene('[39] many readers together, a writer alone; neither starves', async (stage) => {
    const services = await stage.all(3);
    const done = { reads: 0, writes: 0 };
    const endMs = performance.now() + 1_500;
    const work = Array.from({ length: 9 }, async (_, n) => {
      const locks = services[n % 3]!;
      while (performance.now() < endMs) {
        const isWriter = n % 3 === 0;
        await stage.using(
          locks,
          'k',
          { mode: isWriter ? 'exclusive' : 'shared', wait: '10s', ttl: '5s' },
          async () => {
            await sleep(2);
            if (isWriter) done.writes++;
            else done.reads++;
          },
        );
      }
    });
    await Promise.all(work);
    expect(done.writes).toBeGreaterThan(10);
    expect(done.reads).toBeGreaterThan(10);
  });

  scene('[39] a waiting writer holds back new readers', async (stage) => {
    const [one, two] = await pair(stage);
    const reader = await one.acquire('k', { mode: 'shared', ttl: '20s' });
    const writer = timed(() => two.acquire('k', { wait: '10s', ttl: '20s' }));
    await until(async () => (await one.inspect('k'))?.waiting === 1, 'the writer');
    expect(await one.tryAcquire('k', { mode: 'shared' })).toBeNull();
    const late = timed(() => one.acquire('k', { mode: 'shared', wait: '10s' }));
    await sleep(50);
    await reader.release();
    const { value } = await writer;
    await value?.release();
    await (await late).value?.release();
  });

  scene(
    '[40] exclusive → shared is allowed in a scope, shared → exclusive is refused at once',
    async (stage) => {
      const { locks } = await stage.service();
      await locks.using('k', () =>
        locks.using('k', { mode: 'shared', wait: 0 }, (lease) => lease.assertHeld()),
      );
      await locks.using('k', { mode: 'shared' }, async () => {
        const { tookMs, error } = await timed(() => locks.acquire('k', { wait: '10s' }));
        expect(error).toMatchObject({ name: 'LockError' });
        expect(tookMs).toBeLessThan(SLACK_MS);
      });
    },
  );

  scene(
    "[41] a writer's release wakes all readers; a dead reader neither frees nor prolongs the others",
    async (stage) => {
      const [one, two] = await pair(stage);
      const dead = await stage.service();
      const writer = await one.acquire('k', { ttl: '20s' });
      const waiters = [one, two, two].map((locks) =>
        timed(() => locks.acquire('k', { mode: 'shared', wait: '10s', ttl: '20s' })),
      );
      const dying = timed(() => dead.locks.acquire('k', { mode: 'shared', wait: '10s' }));
      await until(async () => (await one.inspect('k'))?.waiting === 3, 'the waiters');
      const freedMs = performance.now();
      await writer.release();
      const readers = await Promise.all([...waiters, dying]);
      expect(performance.now() - freedMs).toBeLessThan(1_000 + SLACK_MS);
      dead.backend.plan = hungBy();
      await until(async () => (await one.inspect('k'))?.holders.length === 3, 'the end of the dead one');
      for (const { value } of readers.slice(0, 3)) expect(await value?.release()).toBe(true);
      expect(await one.inspect('k')).toBeNull();
    },
  );

  scene('[42] permits never exceed the maximum, and a large request is not starved', async (stage) => {
    const services = await stage.all(3);
    const endMs = performance.now() + 1_000;
    const small = Array.from({ length: 9 }, async (_, n) => {
      while (performance.now() < endMs) {
        const take = 1 + (n % 2);
        await stage.using(services[n % 3]!, 'k', { permits: 4, take, wait: '10s', ttl: '5s' }, () =>
          sleep(2),
        );
      }
    });
    await sleep(100);
    const { tookMs } = await timed(() =>
      stage.using(services[0]!, 'k', { permits: 4, take: 4, wait: '10s', ttl: '5s' }, () => sleep(2)),
    );
    expect(tookMs).toBeLessThan(SLACK_MS);
    await Promise.all(small);
  });

  scene("[42] dead holders' permits return at expiry", async (stage) => {
    const dead = await stage.service();
    const { locks } = await stage.service();
    for (let n = 0; n < 3; n++) await dead.locks.acquire('k', { permits: 3 });
    dead.backend.plan = hungBy();
    const { tookMs, value } = await timed(() => locks.acquire('k', { permits: 3, take: 3, wait: '10s' }));
    expect(tookMs).toBeLessThan(TTL_MS + 1_000 + SLACK_MS);
    expect(await value?.release()).toBe(true);
  });

  scene('[43] {a, b} against {b, a} never deadlocks, and a refusal leaves nothing behind', async (stage) => {
    const services = await stage.all(3);
    const sets = [
      ['a', 'b'],
      ['b', 'a'],
      ['c', 'a', 'b'],
    ];
    const work = Array.from({ length: 60 }, (_, n) =>
      stage.using(services[n % 3]!, sets[n % 3]!, { wait: '20s' }, () => sleep(1)),
    );
    await Promise.all(work);
    const lease = await services[0]!.acquire('c');
    expect(await services[1]!.tryAcquire(['a', 'b', 'c'])).toBeNull();
    for (const key of ['a', 'b']) expect(await services[2]!.inspect(key)).toBeNull();
    await lease.release();
  });
}

function processes(scene: Scene, options: LocksSuiteOptions): void {
  if (typeof options.processes !== 'function') {
    scene(`[6, 16] has no other processes: ${options.processes.absent}`, async (stage) => {
      const { locks } = await stage.service();
      await stage.using(locks, 'k', {}, (lease) => lease.assertHeld());
    });
    return;
  }

  scene(`[6] across ${PROCESSES} processes never two are inside, and all get in`, async (stage) => {
    const turns: Turn[] = [];
    const workers = Array.from({ length: PROCESSES }, async () => {
      const { child, lines } = stage.process('work', 'k', String(TURNS));
      const exit = once(child, 'exit');
      for await (const line of lines) {
        const told = JSON.parse(line) as Partial<Turn>;
        if (told.fence !== undefined) turns.push(told as Turn);
      }
      expect((await exit)[0]).toBe(0);
    });
    await Promise.all(workers);
    expect(turns).toHaveLength(PROCESSES * TURNS);
    turns.sort((a, b) => Number(BigInt(a.fence) - BigInt(b.fence)));
    for (let n = 1; n < turns.length; n++) {
      expect(BigInt(turns[n]!.fence)).toBeGreaterThan(BigInt(turns[n - 1]!.fence));
      expect(BigInt(turns[n]!.enteredNs)).toBeGreaterThanOrEqual(BigInt(turns[n - 1]!.leftNs));
    }
  });

  scene("[6, 16] a killed holder's key is free at its ttl", async (stage) => {
    const { locks } = await stage.service();
    const { child, lines } = stage.process('hold', 'k', '1500');
    expect((await lines.next()).value).toContain('held');
    // renewed meanwhile
    await sleep(2_000);
    expect(await locks.tryAcquire('k')).toBeNull();
    child.kill('SIGKILL');
    const { tookMs, value } = await timed(() => locks.acquire('k', { wait: '10s' }));
    expect(tookMs).toBeGreaterThan(500);
    expect(tookMs).toBeLessThan(1_500 + SLACK_MS);
    expect(await value?.release()).toBe(true);
  });
}

async function pair(stage: Stage): Promise<readonly [Locks, Locks]> {
  return [(await stage.service()).locks, (await stage.service()).locks];
}

function isRelease({ method }: { readonly method: string }): boolean {
  return method === 'release';
}
