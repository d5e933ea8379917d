import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { Cron, Interval, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { Test } from '@nestjs/testing';
import {
  currentLease,
  Locked,
  LockModule,
  LockService,
  LockUnavailableError,
  memory,
  type Lease,
  type LockEvent,
  type LockModuleOptions,
} from 'nestjs-interlock';
import { faulty, ManualClock } from 'nestjs-interlock/testing';
import { failure } from '../support/failure.js';
import { Gate, until } from '../support/gate.js';

const YEARLY = '0 0 1 1 *';
let gate = new Gate();
let ran: string[] = [];
let lease: Lease | undefined;

@Injectable()
class Jobs {
  @Cron(YEARLY, { name: 'import' })
  @Locked('import')
  async import(): Promise<void> {
    ran.push('import');
    lease = currentLease();
    await gate.opened;
    ran.push('import ended');
  }

  @Locked('patient', { wait: Infinity })
  @Cron(YEARLY, { name: 'patient' })
  async patient(): Promise<void> {
    ran.push('patient');
  }

  @Interval('idle', 2 ** 31 - 1)
  @Locked('idle')
  async idle(): Promise<void> {
    ran.push('idle');
  }

  @Locked('handler', { wait: Infinity })
  async handle(): Promise<string> {
    ran.push('handler');
    return 'handled';
  }
}

const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);
let warned: string[] = [];

beforeEach(() => {
  gate = new Gate();
  ran = [];
  lease = undefined;
  warned = [];
  process.on('unhandledRejection', note);
  process.on('uncaughtException', note);
  jest.spyOn(Logger.prototype, 'warn').mockImplementation((text: unknown) => void warned.push(String(text)));
});

afterEach(async () => {
  await turns();
  process.off('unhandledRejection', note);
  process.off('uncaughtException', note);
  jest.restoreAllMocks();
  expect(unhandled.splice(0)).toEqual([]);
});

async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

async function boot(options: LockModuleOptions = {}, providers: (new () => object)[] = []) {
  const backend = faulty(options.backend ?? memory());
  const testing = await Test.createTestingModule({
    imports: [ScheduleModule.forRoot(), LockModule.forRoot({ ...options, backend })],
    providers: [Jobs, ...providers],
  }).compile();
  const app = await testing.init();
  const locks = app.get(LockService);
  const events: LockEvent[] = [];
  locks.events$.subscribe((event) => void events.push(event));
  const tick = async (name: string): Promise<void> => {
    await app.get(SchedulerRegistry).getCronJob(name).fireOnTick();
  };
  return { app, backend, locks, events, jobs: app.get(Jobs), tick };
}

/** What somebody else sees who uses the same backend after the application is gone. */
async function leftIn(backend: LockModuleOptions['backend']): Promise<string[]> {
  const inspector = new LockService(backend ?? memory());
  const left: string[] = [];
  for await (const { key } of inspector.list()) left.push(key);
  await inspector.stop();
  return left;
}

describe('while the application closes', () => {
  test('[55] a running job is awaited, with its lock', async () => {
    const { app, tick, backend } = await boot();
    void tick('import');
    await until(() => ran.length === 1);
    let closed = false;
    const closing = app.close().then(() => {
      closed = true;
    });
    await turns();
    expect({ closed, held: lease?.held }).toEqual({ closed: false, held: true });
    gate.open();
    await closing;
    expect(ran).toEqual(['import', 'import ended']);
    expect(lease?.signal.aborted).toBe(false);
    expect(await leftIn(backend)).toEqual([]);
  });

  test('[55] a running job is awaited for shutdownTimeout and not longer, and told that its lock is lost', async () => {
    const clock = new ManualClock();
    const { app, tick, backend, locks } = await boot({ clock, shutdownTimeout: '3s' });
    void tick('import');
    await until(() => ran.length === 1);
    let closed = false;
    const closing = app.close().then(() => {
      closed = true;
    });
    await clock.advance(2_999);
    expect({ closed, held: lease?.held }).toEqual({ closed: false, held: true });
    await clock.advance(1);
    await closing;
    expect(lease?.signal.reason).toMatchObject({ name: 'LockLostError', reason: 'shutdown', key: 'import' });
    expect(warned).toEqual([`The lock "import" (fence ${lease?.fence}) was lost: shutdown.`]);
    expect(locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
    expect(backend.calls.at(-1)?.method).toBe('stop');
    gate.open();
    await turns();
    expect(ran).toEqual(['import', 'import ended']);
    // what has been given back is not given back once more
    expect(backend.calls.at(-1)?.method).toBe('stop');
  });

  test('[55] no job begins any more, and why is among the events', async () => {
    const { app, jobs, tick, events } = await boot();
    void tick('import');
    await until(() => ran.length === 1);
    const closing = app.close();
    await turns();
    expect(await jobs.idle()).toBeUndefined();
    expect(events.filter(({ type }) => type === 'skipped')).toEqual([
      { type: 'skipped', key: 'idle', site: 'Jobs.idle', why: 'the application is closing' },
    ]);
    gate.open();
    await closing;
    expect(ran).toEqual(['import', 'import ended']);
  });

  test('[55] a job that waits for its lock is skipped at once, and does not keep the lock that comes free', async () => {
    const { app, tick, locks, events } = await boot();
    const busy = await locks.acquire('patient');
    void tick('patient');
    await until(() => locks.gauges.waiting === 1);
    const closing = app.close();
    await until(() => locks.gauges.waiting === 0);
    await busy.release();
    await closing;
    expect(ran).toEqual([]);
    expect(events.filter(({ type }) => type === 'skipped')).toEqual([
      { type: 'skipped', key: 'patient', site: 'Jobs.patient', why: 'the application is closing' },
    ]);
  });

  test('handlers get locks still, and are not skipped, while jobs end', async () => {
    const { app, jobs, tick, locks } = await boot();
    void tick('import');
    await until(() => ran.length === 1);
    const closing = app.close();
    await turns();
    expect(await jobs.handle()).toBe('handled');
    expect(await locks.using('by-hand', () => 'done')).toBe('done');
    gate.open();
    await closing;
    expect(ran).toEqual(['import', 'handler', 'import ended']);
  });

  test('other providers can use their locks in onModuleDestroy', async () => {
    const seen: unknown[] = [];
    @Injectable()
    class Last implements OnModuleDestroy {
      constructor(private readonly locks: LockService) {}
      async onModuleDestroy(): Promise<void> {
        seen.push(await this.locks.using('farewell', (lease) => lease.held));
      }
    }
    Reflect.defineMetadata('design:paramtypes', [LockService], Last);
    const { app } = await boot({}, [Last as unknown as new () => object]);
    await app.close();
    expect(seen).toEqual([true]);
  });

  test('[24][33] 100 holders and 100 waiters: the waiters are refused, the holders told, nothing is left', async () => {
    const { app, backend, locks, jobs } = await boot();
    const held = await Promise.all(Array.from({ length: 99 }, (_, n) => locks.acquire(`key-${n}`)));
    held.push(await locks.acquire('handler'));
    const waiters = [
      ...Array.from({ length: 50 }, (_, n) => failure(locks.acquire(`key-${n}`, { wait: Infinity }))),
      ...Array.from({ length: 49 }, () => failure(locks.acquire('key-0', { wait: '1 hour' }))),
      failure(jobs.handle()),
    ];
    await until(() => locks.gauges.waiting === 100);
    const startMs = performance.now();
    await app.close();
    expect(performance.now() - startMs).toBeLessThan(1_000);
    const refusals = await Promise.all(waiters);
    expect(refusals.filter((error) => error instanceof LockUnavailableError)).toHaveLength(100);
    expect(refusals[0]).toMatchObject({
      message: 'Could not lock "key-0": the lock service is shutting down.',
    });
    expect(held.map(({ signal }): unknown => signal.reason)).toEqual(
      held.map(({ key }) => expect.objectContaining({ name: 'LockLostError', reason: 'shutdown', key })),
    );
    expect(held.some((one) => one.held)).toBe(false);
    expect(locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
    expect(ran).toEqual([]);
    expect(warned).toHaveLength(100);
    expect(await leftIn(backend)).toEqual([]);
  });

  test('[33] the backend is stopped once, and last', async () => {
    const { app, backend, locks } = await boot();
    await locks.acquire('a');
    await app.close();
    await app.close();
    const methods = backend.calls.map(({ method }) => method);
    expect(methods.filter((method) => method === 'stop')).toHaveLength(1);
    expect(methods.at(-1)).toBe('stop');
    expect(methods).toContain('release');
  });

  test('[33] a server that is silent does not keep it from closing', async () => {
    const clock = new ManualClock();
    const { app, backend, locks } = await boot({ clock, callTimeout: '1s', shutdownTimeout: '2s' });
    const held = await locks.acquire('a');
    backend.plan = () => 'hang';
    let closed = false;
    const closing = app.close().then(() => {
      closed = true;
    });
    await clock.advance(10_000);
    expect(closed).toBe(true);
    await closing;
    expect(held.signal.reason).toMatchObject({ reason: 'shutdown' });
  });

  test('afterwards nothing is locked and nothing guarded runs', async () => {
    const { app, jobs, locks } = await boot();
    await app.close();
    for (const call of [() => jobs.handle(), () => locks.acquire('a'), () => locks.using('a', () => 'ran')]) {
      expect(await failure(call())).toBeInstanceOf(LockUnavailableError);
    }
    expect(await jobs.idle()).toBeUndefined();
    expect(ran).toEqual([]);
  });
});

test('[33] with enableShutdownHooks, a signal to the process gives everything back', async () => {
  const backend = memory();
  const { app, locks } = await boot({ backend });
  const before = new Set(process.listeners('SIGUSR2'));
  const kill = jest.spyOn(process, 'kill').mockImplementation(() => true);
  app.enableShutdownHooks(['SIGUSR2']);
  const held = await locks.acquire('a');
  const waiter = failure(locks.acquire('a', { wait: Infinity }));
  const hook = process.listeners('SIGUSR2').find((listener) => !before.has(listener));
  expect(hook).toBeDefined();
  hook?.('SIGUSR2');
  expect(await waiter).toBeInstanceOf(LockUnavailableError);
  await until(() => kill.mock.calls.length > 0);
  expect(kill).toHaveBeenCalledWith(process.pid, 'SIGUSR2');
  expect(held.signal.aborted).toBe(true);
  expect(await leftIn(backend)).toEqual([]);
});
