import { afterEach, expect } from '@jest/globals';
import { memory, MemoryServer } from '../../lib/backends/memory/index.js';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import type { Duration } from '../../lib/core/duration.js';
import type { LockEvent } from '../../lib/core/events.js';
import type { Lease } from '../../lib/core/lease.js';
import { Locks } from '../../lib/core/locks.js';
import type { LockSettings } from '../../lib/core/settings.js';
import {
  faulty,
  type BackendMethod,
  type FaultPlan,
  type FaultyBackend,
} from '../../lib/testing/faulty-backend.js';
import { ManualClock } from '../../lib/testing/manual-clock.js';
import { listed } from './listed.js';

/** Not 0: a time that is taken for "none" would show. */
const START_MS = 10_000;
/** The longest that a call to the lock server may stay open by the settings of any test here. */
const LONGEST_CALL_MS = 60_000;
/** What DESIGN.md allows every public call to take beyond its own deadline. */
export const PATIENCE_MS = 250;

/** One service on the server of a rig. */
export interface Replica {
  readonly locks: Locks;
  /** What stands between the service and the server: counts the calls, and makes them fail. */
  readonly backend: FaultyBackend;
  readonly events: readonly LockEvent[];
}

export interface RigOptions extends LockSettings {
  readonly plan?: FaultPlan;
  /** Something more between the service and the server. */
  readonly between?: (backend: LockBackend) => LockBackend;
  readonly lockDelay?: Duration;
}

/** What a promise came to, and when. */
export interface Watched<T> {
  settled: boolean;
  atMs: number;
  value?: T;
  error?: unknown;
}

const open: Rig[] = [];

/**
 * A lock server inside the process on a clock that stands still, and services on it. After each test all of them are
 * stopped, and nothing may be left: no gauge, no timer, no key on the server, no rejection that nobody handled.
 */
export class Rig {
  readonly clock = new ManualClock(START_MS);
  readonly server = new MemoryServer({ clock: this.clock });
  private readonly replicas: Replica[] = [];

  constructor() {
    open.push(this);
  }

  replica(options: RigOptions = {}): Replica {
    const { plan = [], between = (backend) => backend, lockDelay = 0, ...settings } = options;
    const backend = faulty(between(memory({ server: this.server, lockDelay })), plan);
    const locks = new Locks(backend, { clock: this.clock, ...settings });
    const events: LockEvent[] = [];
    locks.events$.subscribe((event) => void events.push(event));
    const replica = { locks, backend, events };
    this.replicas.push(replica);
    return replica;
  }

  /** Notes when a promise settles; it counts as handled. */
  watch<T>(promise: Promise<T>): Watched<T> {
    const watched: Watched<T> = { settled: false, atMs: NaN };
    const note = (): void => {
      watched.settled = true;
      watched.atMs = this.clock.now();
    };
    promise.then(
      (value) => {
        watched.value = value;
        note();
      },
      (error: unknown) => {
        watched.error = error;
        note();
      },
    );
    return watched;
  }

  /** Lets time pass until the promise settles; fails when it takes longer than `limitMs`. */
  async within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
    const watched = this.watch(promise);
    const endMs = this.clock.now() + limitMs;
    await this.clock.settle();
    while (!watched.settled && this.clock.now() < endMs) {
      await this.clock.advance(Math.min(5, endMs - this.clock.now()));
    }
    expect({ settled: watched.settled, limitMs }).toEqual({ settled: true, limitMs });
    return promise;
  }

  /** What the promise is rejected with, within `limitMs`. */
  async failure(limitMs: number, promise: Promise<unknown>): Promise<unknown> {
    return this.within(
      limitMs,
      promise.then(
        (value) => expect(value).toBe('a rejection'),
        (error: unknown) => error,
      ),
    );
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.clock.setTimer(resolve, ms);
    });
  }

  /** Heals the server, stops everybody, and looks for what was left behind. */
  async close(): Promise<void> {
    if (open.includes(this)) open.splice(open.indexOf(this), 1);
    for (const { backend, locks } of this.replicas) {
      backend.plan = [];
      await this.within(LONGEST_CALL_MS, locks.stop());
    }
    const hung = this.replicas.some(({ backend }) =>
      backend.calls.some(({ fault }) => fault?.startsWith('hang')),
    );
    if (hung) await this.clock.advance(LONGEST_CALL_MS);
    await this.clock.settle();
    for (const { locks, events } of this.replicas) {
      expect(locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
      expect(locks.census).toEqual([]);
      const told = (...types: readonly LockEvent['type'][]): number =>
        events.filter(({ type }) => types.includes(type)).length;
      expect({ ends: told('released', 'lost') }).toEqual({ ends: told('acquired') });
    }
    expect({ timers: this.clock.pendingTimers }).toEqual({ timers: 0 });
    await this.expectNothingOnTheServer();
  }

  private async expectNothingOnTheServer(): Promise<void> {
    const backend = memory({ server: this.server });
    await backend.start({
      clock: this.clock,
      identity: 'inspector',
      doubt: () => undefined,
      report: () => undefined,
    });
    const left = await listed(backend);
    await backend.stop();
    expect(left).toEqual([]);
  }
}

// Jest fails the test that is running when a rejection is not handled; give it the turns to notice.
afterEach(async () => {
  for (const rig of open.splice(0)) await rig.close();
  for (let turn = 0; turn < 3; turn++) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
});

/** A rig with one service, for tests that need no more. */
export function setUp(options: RigOptions = {}): Rig & Replica {
  const rig = new Rig();
  return Object.assign(rig, rig.replica(options));
}

/** How many calls of a method were made. */
export function count(backend: FaultyBackend, ...methods: readonly BackendMethod[]): number {
  return backend.calls.filter(({ method }) => methods.includes(method)).length;
}

/** Never null: for tests in which a try has to succeed. */
export async function got(lease: Promise<Lease | null>): Promise<Lease> {
  const value = await lease;
  expect(value).not.toBeNull();
  return value as Lease;
}

/** The same backend, but for some of its methods. */
export function changed<M extends Partial<LockBackend>>(backend: LockBackend, methods: M): LockBackend {
  return Object.assign(Object.create(backend) as LockBackend, methods);
}
