import { afterEach, expect } from '@jest/globals';
import type { INestApplication, ModuleMetadata } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { LockModule, LockService, type LockEvent, type LockModuleExtras } from 'nestjs-interlock';
import { faulty, ManualClock, type FaultPlan, type FaultyBackend } from 'nestjs-interlock/testing';
import { memory, MemoryServer } from '../../lib/backends/memory/index.js';
import { Locks } from '../../lib/core/locks.js';
import type { LockSettings } from '../../lib/core/settings.js';
import { listedKeys } from './listed.js';

/** An application with locks on a clock that stands still, and what a test wants to see of it. */
export interface GuardedApp {
  readonly app: INestApplication;
  readonly locks: LockService;
  readonly backend: FaultyBackend;
  readonly clock: ManualClock;
  readonly server: MemoryServer;
  /** What happened to its locks so far, oldest first. */
  readonly events: readonly LockEvent[];
  /** The locks of another replica, on the same server. */
  readonly other: Locks;
}

export interface GuardedAppOptions extends LockSettings, Pick<LockModuleExtras, 'name'> {
  readonly plan?: FaultPlan;
  readonly clock?: ManualClock;
  readonly server?: MemoryServer;
  /** Before `init`: adapters, pipes, microservices. */
  readonly prepare?: (app: INestApplication) => unknown;
}

const open: GuardedApp[] = [];

/**
 * Starts an application with `LockModule`. After the test it is closed, and nothing may be left of its locks: no
 * gauge, no timer, no key on the server, no rejection that nobody handled.
 */
export async function guardedApp(
  { imports = [], ...metadata }: ModuleMetadata,
  options: GuardedAppOptions = {},
): Promise<GuardedApp> {
  const { prepare, plan = [], name, clock = new ManualClock(10_000), ...rest } = options;
  const { server = new MemoryServer({ clock }), ...settings } = rest;
  const backend = faulty(memory({ server }), plan);
  const lockModule = LockModule.forRoot({ backend, clock, ...settings, ...(name !== undefined && { name }) });
  const module = await Test.createTestingModule({ ...metadata, imports: [lockModule, ...imports] }).compile();
  const app = module.createNestApplication({ logger: false });
  await prepare?.(app);
  await app.init();
  const locks = app.get<LockService>(lockModule.exports?.[0] as symbol);
  const events: LockEvent[] = [];
  locks.events$.subscribe((event) => void events.push(event));
  const other = new Locks(memory({ server }), { clock, identity: 'other' });
  const started = { app, locks, backend, clock, events, other, server };
  open.push(started);
  return started;
}

// Jest fails the test that is running when a rejection is not handled; give it the turns to notice.
afterEach(async () => {
  const apps = open.splice(0);
  for (const { clock, locks, other } of apps) {
    await clock.settle();
    expect([locks.gauges, other.gauges]).toEqual(Array(2).fill({ held: 0, waiting: 0, owed: 0 }));
    expect([locks.census, other.census]).toEqual([[], []]);
  }
  for (const { app, locks, clock, other, server } of apps) {
    expect(await keysOn(server, clock)).toEqual([]);
    await app.close();
    await other.stop();
    expect(locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
  }
  for (const { clock } of apps) expect({ timers: clock.pendingTimers }).toEqual({ timers: 0 });
  await turns();
});

async function keysOn(server: MemoryServer, clock: ManualClock): Promise<string[]> {
  const backend = memory({ server });
  const context = { clock, identity: 'inspector', doubt: () => undefined, report: () => undefined };
  await backend.start(context);
  const keys = await listedKeys(backend);
  await backend.stop();
  return keys;
}

/** Some turns of the event loop, in which everything that waits for promises gets on. */
export async function turns(count = 3): Promise<void> {
  for (let turn = 0; turn < count; turn++) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** What a promise is rejected with. */
export function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect(value).toBe('a rejection'),
    (error: unknown) => error,
  );
}

/** Where the bodies of guarded methods go in, and a test sees how many are inside at once. */
export class Room {
  inside = 0;
  most = 0;
  readonly visits: unknown[] = [];
  private readonly doors: (() => void)[] = [];

  /** Goes in, stays for some turns of the event loop, and comes out with `value`. */
  async visit<T>(value: T): Promise<T> {
    this.enter(value);
    await turns();
    this.inside--;
    return value;
  }

  /** Goes in, and stays until `open` is called. */
  async stay<T>(value: T): Promise<T> {
    this.enter(value);
    await new Promise<void>((resolve) => {
      this.doors.push(resolve);
    });
    this.inside--;
    return value;
  }

  open(): void {
    for (const door of this.doors.splice(0)) door();
  }

  private enter(value: unknown): void {
    this.visits.push(value);
    this.inside++;
    this.most = Math.max(this.most, this.inside);
  }
}
