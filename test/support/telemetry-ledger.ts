import assert from 'node:assert/strict';
import { MeterProvider, MetricReader, type DataPoint, type Histogram } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, type Span, type SpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { LockEvent } from '../../lib/core/events.js';
import type { LockService } from '../../lib/lock.service.js';
import { instrumentLocks } from '../../lib/opentelemetry/index.js';
import { until } from './until.js';

/** Collects when it is asked to. */
class Reader extends MetricReader {
  protected override async onShutdown(): Promise<void> {}
  protected override async onForceFlush(): Promise<void> {}
}

/** Knows the spans that are open. */
class OpenSpans implements SpanProcessor {
  readonly open = new Set<object>();

  onStart(span: Span): void {
    this.open.add(span);
  }

  onEnd(span: object): void {
    this.open.delete(span);
  }

  async forceFlush(): Promise<void> {}
  async shutdown(): Promise<void> {}
}

/** Keeps the books of one lock service by what it tells: events, metrics and spans have to agree, and to be even. */
export class TelemetryLedger {
  /** How often each grant was told of and not ended yet. */
  private readonly held = new Map<string, number>();
  private readonly owed = new Set<string>();
  private acquired = 0;
  private readonly complaints: string[] = [];
  private readonly reader = new Reader();
  private readonly spans = new OpenSpans();

  constructor(private readonly locks: LockService) {
    locks.events$.subscribe((event) => this.enter(event));
    instrumentLocks(locks, {
      meterProvider: new MeterProvider({ readers: [this.reader] }),
      tracerProvider: new BasicTracerProvider({ spanProcessors: [this.spans] }),
      nodes: false,
    });
  }

  /** While the service runs: the gauges, which count what is there, say what the events come to. */
  async assertAgreed(): Promise<void> {
    const agree = async (): Promise<boolean> => {
      const [held, waiting, owed] = await Promise.all(
        ['held', 'waiting', 'owed'].map(async (name) => sum(await this.points(`interlock.${name}`))),
      );
      const { gauges } = this.locks;
      return held === sumOf(this.held.values()) && waiting === gauges.waiting && owed === this.owed.size;
    };
    await until(agree, 'the gauges say what the events come to');
  }

  /** After the service has stopped: nothing is held or owed, no span is open, and each hold was measured once. */
  async assertEven(): Promise<void> {
    const [acquisitions, waits, holds] = await Promise.all([
      this.points('interlock.acquisitions'),
      this.points('interlock.wait.duration'),
      this.points('interlock.hold.duration'),
    ]);
    const granted = acquisitions.filter(({ attributes }) => attributes['interlock.outcome'] === 'acquired');
    assert.deepEqual(
      {
        complaints: this.complaints,
        held: [...this.held.keys()],
        openSpans: this.spans.open.size,
        granted: sum(granted),
        waits: count(waits),
        holds: count(holds),
      },
      {
        complaints: [],
        held: [],
        openSpans: 0,
        granted: this.acquired,
        waits: this.acquired,
        holds: this.acquired,
      },
    );
  }

  private enter(event: LockEvent): void {
    const { type } = event;
    if (type === 'acquired') this.add(event, 1);
    if (type === 'released' || type === 'lost') this.add(event, -1);
    if (type === 'cleanup-owed') this.owed.add(event.key);
    if (type === 'cleanup-paid' || type === 'cleanup-expired') this.owed.delete(event.key);
  }

  private add({ key, fence, type }: { key: string; fence: bigint; type: string }, step: number): void {
    if (step > 0) this.acquired++;
    const id = `${fence} ${key}`;
    const now = (this.held.get(id) ?? 0) + step;
    if (now < 0) this.complaints.push(`${type} ${id}, which was not held`);
    if (now > 0) this.held.set(id, now);
    else this.held.delete(id);
  }

  private async points(name: string): Promise<readonly DataPoint<number | Histogram>[]> {
    const { resourceMetrics } = await this.reader.collect();
    const all = resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics);
    const points = all.find(({ descriptor }) => descriptor.name === name)?.dataPoints ?? [];
    return points as readonly DataPoint<number | Histogram>[];
  }
}

function sumOf(values: Iterable<number>): number {
  return [...values].reduce((total, value) => total + value, 0);
}

function sum(points: readonly DataPoint<number | Histogram>[]): number {
  return sumOf(points.map(({ value }) => (typeof value === 'number' ? value : NaN)));
}

function count(points: readonly DataPoint<number | Histogram>[]): number {
  return sumOf(points.map(({ value }) => (typeof value === 'number' ? NaN : value.count)));
}
