import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { context, trace, type Attributes } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { MeterProvider, MetricReader, type MetricData } from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-base';
import { Injectable, Logger } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { LockModule, Locked, LockService, memory, MemoryServer } from 'nestjs-interlock';
import {
  instrumentLocks,
  LockTelemetryModule,
  type LockTelemetryOptions,
} from 'nestjs-interlock/opentelemetry';
import { faulty, ManualClock, type FaultyBackend } from 'nestjs-interlock/testing';

/** Collects when a test asks it to. */
class Reader extends MetricReader {
  protected override async onShutdown(): Promise<void> {}
  protected override async onForceFlush(): Promise<void> {}
}

const reader = new Reader();
const meterProvider = new MeterProvider({ readers: [reader] });
const exporter = new InMemorySpanExporter();
const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
const tracer = tracerProvider.getTracer('test');
const providers = { meterProvider, tracerProvider };

let clock: ManualClock;
let backend: FaultyBackend;
let server: MemoryServer;
let locks: LockService;
let nth = 0;

beforeAll(() => {
  Logger.overrideLogger(false);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
});
afterAll(async () => {
  context.disable();
  await meterProvider.shutdown();
  await tracerProvider.shutdown();
});
beforeEach(async () => {
  exporter.reset();
  clock = new ManualClock();
  server = new MemoryServer({ clock });
  backend = faulty(memory({ server }));
  // each test has labels of its own: the reader counts on
  locks = new LockService(backend, { clock }, `t${++nth}`);
  await locks.start();
});
afterEach(() => locks.stop());

const instrument = (options: LockTelemetryOptions = {}): (() => void) =>
  instrumentLocks(locks, { ...providers, ...options });

const other = (): LockService => new LockService(memory({ server }), { clock, identity: 'other' });

async function metric(name: string): Promise<MetricData | undefined> {
  const { resourceMetrics } = await reader.collect();
  return resourceMetrics.scopeMetrics
    .flatMap(({ metrics }) => metrics)
    .find(({ descriptor }) => descriptor.name === name);
}

/** The points of this test, each with the labels that tell it from the others of the test. */
async function points(name: string): Promise<[Attributes, unknown][]> {
  const found = (await metric(name))?.dataPoints ?? [];
  return found.flatMap(({ attributes, value }): [Attributes, unknown][] => {
    const { 'interlock.name': owner, 'interlock.backend': kind, ...labels } = attributes;
    return owner === `t${nth}` && kind === 'memory' ? [[labels, value]] : [];
  });
}

const seat = { 'interlock.mode': 'exclusive', 'interlock.pattern': 'seat:<id>' };
const pattern = 'seat:<id>';

describe('the metrics', () => {
  it('count acquisitions by what they came to, and measure waits and holds in seconds', async () => {
    instrument();
    const first = await locks.acquire('seat:1', { pattern });
    const second = locks.acquire('seat:1', { pattern });
    expect(await locks.tryAcquire('seat:1', { pattern })).toBeNull();
    await clock.advance(200);
    await first.release();
    await clock.advance(50);
    await (await second).release();
    expect(await points('interlock.acquisitions')).toEqual([
      [{ ...seat, 'interlock.outcome': 'acquired' }, 2],
      [{ ...seat, 'interlock.outcome': 'busy' }, 1],
    ]);
    const [[, waits] = []] = await points('interlock.wait.duration');
    expect(waits).toMatchObject({ count: 2, sum: expect.closeTo(0.2, 2) });
    const [[labels, holds] = []] = await points('interlock.hold.duration');
    expect(labels).toEqual(seat);
    expect(holds).toMatchObject({ count: 2, min: expect.closeTo(0.05, 2), max: expect.closeTo(0.2, 2) });
    expect((await metric('interlock.wait.duration'))?.descriptor.unit).toBe('s');
  });

  it('tell losses, refusals, skips and clean-up apart', async () => {
    instrument();
    const lease = await locks.acquire('seat:1', { pattern });
    await locks.forceRelease('seat:1');
    await clock.settle();
    await lease.release();
    backend.plan = ({ method }) =>
      method === 'claim' ? 'after' : method === 'abandon' ? 'before' : undefined;
    await locks.tryAcquire('seat:1', { pattern }).catch(() => undefined);
    backend.plan = [];
    await clock.advance(200);
    backend.plan = { method: 'claim', call: 1, onward: true, fault: 'before' };
    await locks.tryAcquire('seat:1', { pattern }).catch(() => undefined);
    locks.skip('Jobs.nightly', 'k', 'it is late');
    expect(await points('interlock.losses')).toEqual([[{ ...seat, 'interlock.reason': 'gone' }, 1]]);
    expect(await points('interlock.acquisitions')).toEqual([
      [{ ...seat, 'interlock.outcome': 'acquired' }, 1],
      [{ ...seat, 'interlock.outcome': 'unknown' }, 1],
      [{ ...seat, 'interlock.outcome': 'denied' }, 1],
    ]);
    expect(await points('interlock.skips')).toEqual([[{ 'interlock.site': 'Jobs.nightly' }, 1]]);
    expect(await points('interlock.cleanups')).toEqual([
      [{ 'interlock.state': 'owed' }, 1],
      [{ 'interlock.state': 'paid' }, 1],
    ]);
  });

  it('have patterns for labels, never keys, however many keys there are', async () => {
    instrument();
    for (let id = 0; id < 200; id++) await locks.using(`seat:${id}`, { pattern }, () => undefined);
    await locks.using('by hand', () => undefined);
    expect((await points('interlock.acquisitions')).map(([labels]) => labels['interlock.pattern'])).toEqual([
      'seat:<id>',
      'none',
    ]);
    expect(JSON.stringify((await reader.collect()).resourceMetrics)).not.toMatch(/seat:1|by hand/);
  });

  it('have no more labels than a thousand, though somebody puts keys into patterns', async () => {
    instrument();
    for (let id = 0; id < 1_050; id++) await locks.using('k', { pattern: `seat:${id}` }, () => undefined);
    const leases = [await locks.acquire('a', { pattern: 'a' }), await locks.acquire('b', { pattern: 'b' })];
    const held = await points('interlock.held');
    expect(held).toHaveLength(1_001);
    expect(held.at(-1)).toEqual([{ 'interlock.mode': 'exclusive', 'interlock.pattern': 'other' }, 2]);
    for (const lease of leases) await lease.release();
  });

  it('[59] have gauges of what is held, waited for and owed, which return to 0', async () => {
    instrument();
    const a = await locks.acquire(['seat:1', 'seat:2'], { pattern });
    const b = await locks.acquire('report', { pattern: 'report', mode: 'shared' });
    const waits = [1, 2, 3].map(() =>
      locks.acquire('seat:1', { pattern, wait: '2s' }).catch(() => undefined),
    );
    await clock.settle();
    const report = { 'interlock.mode': 'shared', 'interlock.pattern': 'report' };
    expect(await points('interlock.held')).toEqual([
      [seat, 2],
      [report, 1],
    ]);
    expect(await points('interlock.waiting')).toEqual([
      [seat, 3],
      [report, 0],
    ]);
    await clock.advance(3_000);
    await Promise.all(waits);
    await a.release();
    await b.release();
    for (const name of ['interlock.held', 'interlock.waiting'])
      expect(await points(name)).toEqual([
        [seat, 0],
        [report, 0],
      ]);
    expect(await points('interlock.owed')).toEqual([[{}, 0]]);
  });

  it('[59] have gauges that return to 0 whatever becomes of a lock', async () => {
    instrument();
    const faults = ['before', 'after', 'hang', 'hang-after', 'rubbish', 'throw'] as const;
    for (const method of ['claim', 'release', 'renew', 'abandon'] as const) {
      for (const fault of faults) {
        backend.reset();
        backend.plan = { method, call: 1, fault };
        const work = locks
          .using('seat:1', { pattern, ttl: '1s', wait: '2s' }, async () => clock.advance(700))
          .catch(() => undefined);
        await clock.advance(5_000);
        await work;
        backend.plan = [];
        await clock.advance(5_000);
      }
    }
    expect(await points('interlock.held')).toEqual([[seat, 0]]);
    expect(await points('interlock.waiting')).toEqual([[seat, 0]]);
    expect(await points('interlock.owed')).toEqual([[{}, 0]]);
  });

  it('say who leads and which servers are up', async () => {
    instrument();
    locks.announce({ type: 'elected', group: 'reports', term: 1n });
    expect(await points('interlock.leader')).toEqual([[{ 'interlock.group': 'reports' }, 1]]);
    locks.announce({ type: 'deposed', group: 'reports', term: 1n });
    expect(await points('interlock.leader')).toEqual([[{ 'interlock.group': 'reports' }, 0]]);
    expect(await points('interlock.node.up')).toEqual([
      [{ 'interlock.node': 'memory', 'interlock.role': 'embedded' }, 1],
    ]);
  });

  it('end with the locks, or when they are told to', async () => {
    instrument()();
    await locks.using('k', () => undefined);
    expect(await points('interlock.acquisitions')).toEqual([]);
    expect(await points('interlock.held')).toEqual([]);
    instrument();
    await locks.using('k', () => undefined);
    await locks.stop();
    expect(await points('interlock.held')).toEqual([]);
    expect(await points('interlock.acquisitions')).toHaveLength(1);
  });
});

const byName = (name: string): ReadableSpan => {
  const found = exporter.getFinishedSpans().filter((span) => span.name === name);
  expect(found.map((span) => span.name)).toEqual([name]);
  return found[0]!;
};
const parentOf = (span: ReadableSpan): string | undefined => span.parentSpanContext?.spanId;
const idOf = (span: ReadableSpan): string => span.spanContext().spanId;

/** Runs something as a handler of a traced request does. */
const asRequest = <T>(work: () => Promise<T>, name = 'request'): Promise<T> =>
  tracer.startActiveSpan(name, async (span) => {
    try {
      return await work();
    } finally {
      span.end();
    }
  });

describe('the spans', () => {
  it("nest in the caller's trace: the wait, the hold, and what runs under the lock", async () => {
    instrument();
    await asRequest(() =>
      locks.using('seat:1', { pattern }, async () => {
        await Promise.resolve();
        await asRequest(async () => undefined, 'payment');
      }),
    );
    const request = byName('request');
    const acquire = byName('lock acquire seat:<id>');
    const hold = byName('lock hold seat:<id>');
    expect([parentOf(acquire), parentOf(hold), parentOf(byName('payment'))]).toEqual([
      idOf(request),
      idOf(request),
      idOf(hold),
    ]);
    expect(acquire.attributes).toEqual({
      'interlock.backend': 'memory',
      'interlock.name': `t${nth}`,
      'interlock.mode': 'exclusive',
      'interlock.pattern': 'seat:<id>',
      'interlock.outcome': 'acquired',
    });
    expect(JSON.stringify(exporter.getFinishedSpans().map(({ attributes }) => attributes))).not.toContain(
      'seat:1',
    );
  });

  it('have the calls to the lock server inside of them', async () => {
    instrument();
    const active: (string | undefined)[] = [];
    backend.plan = ({ method }) => {
      if (method === 'claim') active.push(trace.getActiveSpan()?.spanContext().spanId);
      return undefined;
    };
    await asRequest(() => locks.using('seat:1', { pattern }, () => undefined));
    expect(active).toEqual([idOf(byName('lock acquire seat:<id>'))]);
  });

  it('belong to the callers who wait, not to the one whose release wakes them', async () => {
    instrument();
    const first = await asRequest(() => locks.acquire('k', { pattern: 'first' }), 'first request');
    const second = asRequest(
      () => locks.using('k', { pattern: 'second' }, () => asRequest(async () => undefined, 'work')),
      'second request',
    );
    await clock.advance(20);
    await asRequest(() => first.release(), 'third request');
    await clock.advance(20);
    await second;
    expect(parentOf(byName('lock hold second'))).toBe(idOf(byName('second request')));
    expect(parentOf(byName('work'))).toBe(idOf(byName('lock hold second')));
    expect(parentOf(byName('lock hold first'))).toBe(idOf(byName('first request')));
  });

  it('last as long as the lock is held, over all its keys and through re-entry', async () => {
    instrument({ keys: true });
    const lease = await locks.acquire(['a', 'b']);
    expect(exporter.getFinishedSpans().map(({ name }) => name)).toEqual(['lock acquire']);
    await lease.release();
    expect(byName('lock hold').attributes).toMatchObject({ 'interlock.keys': ['a', 'b'] });
    exporter.reset();
    await locks.using('k', () => locks.using('k', () => undefined));
    const names = exporter.getFinishedSpans().map(({ name }) => name);
    expect(names.sort()).toEqual(['lock acquire', 'lock acquire', 'lock hold']);
  });

  it('tell of refusals, failures and losses', async () => {
    instrument();
    const busy = other();
    const lease = await busy.acquire('k');
    await locks.tryAcquire('k', { pattern: 'busy' });
    await lease.release();
    backend.plan = { method: 'claim', call: 1, onward: true, fault: 'before' };
    await locks.tryAcquire('k', { pattern: 'down' }).catch(() => undefined);
    backend.plan = [];
    const held = await locks.acquire('k', { pattern: 'lost' });
    await busy.forceRelease('k');
    await clock.settle();
    await held.release();
    await busy.stop();
    const told = exporter
      .getFinishedSpans()
      .map(({ name, status, attributes }) => [
        name,
        attributes['interlock.outcome'] ?? attributes['interlock.reason'],
        status.code,
      ]);
    expect(told).toEqual([
      ['lock acquire busy', 'busy', 0],
      ['lock acquire down', 'unavailable', 2],
      ['lock acquire lost', 'acquired', 0],
      ['lock hold lost', 'gone', 2],
    ]);
  });

  it('are all ended when the locks are shut down', async () => {
    instrument();
    await locks.acquire('k', { pattern: 'left' });
    await locks.stop();
    expect(byName('lock hold left').attributes['interlock.reason']).toBe('shutdown');
  });
});

describe('the module', () => {
  it('instruments all lock services of an application', async () => {
    @Injectable()
    class Seats {
      @Locked('seat:<0>')
      async sell(_id: string): Promise<void> {}

      @Locked('seat:<0>', { locks: 'billing' })
      async bill(_id: string): Promise<void> {}
    }
    const module = await Test.createTestingModule({
      imports: [
        LockModule.forRoot(),
        LockModule.forRoot({ name: 'billing' }),
        LockTelemetryModule.forRoot(providers),
      ],
      providers: [Seats],
    }).compile();
    await module.init();
    await module.get(Seats).sell('12');
    await module.get(Seats).bill('12');
    await module.close();
    const spans = exporter.getFinishedSpans().filter(({ name }) => name === 'lock hold seat:<0>');
    expect(spans.map(({ attributes }) => attributes['interlock.name'])).toEqual([undefined, 'billing']);
  });

  it.each([
    [{ meters: true }, /no option of telemetry "meters"/],
    [{ spans: 'yes' }, /spans is "yes"; give true or false/],
  ])('refuses %j', (options, message) => {
    expect(() => LockTelemetryModule.forRoot(options as LockTelemetryOptions)).toThrow(message);
  });
});

describe('without anybody who listens', () => {
  it('nothing is made up, and no span is begun', async () => {
    const emitted: unknown[] = [];
    const events = locks['events'];
    const emit = events.emit.bind(events);
    events.emit = (event) => {
      emitted.push(event);
      emit(event);
    };
    const active = trace.getActiveSpan();
    for (let id = 0; id < 10; id++)
      await locks.using(`k${id}`, () => expect(trace.getActiveSpan()).toBe(active));
    expect(emitted).toEqual([]);
    locks.events$.subscribe();
    await locks.using('k', () => undefined);
    expect(emitted).toHaveLength(2);
  });
});
