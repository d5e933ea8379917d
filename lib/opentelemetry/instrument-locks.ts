import { metrics, trace, type MeterProvider, type TracerProvider } from '@opentelemetry/api';
import { LockConfigurationError, show } from '../core/errors.js';
import { refuseUnknown } from '../core/options.js';
import type { LockService } from '../lock.service.js';
import { labelsOf, LockMetrics } from './lock-metrics.js';
import { LockSpans } from './lock-spans.js';

/** What is measured, and where it goes. */
export interface LockTelemetryOptions {
  /** Default: the global one, as it is when the application starts. */
  readonly meterProvider?: MeterProvider;
  /** Default: the global one. */
  readonly tracerProvider?: TracerProvider;
  /** Whether there are metrics. Default true. */
  readonly metrics?: boolean;
  /** Whether there are spans. Default true. */
  readonly spans?: boolean;
  /** Whether spans tell the keys as well as their pattern. Default false: keys may be somebody's. */
  readonly keys?: boolean;
  /** Whether each collection of metrics tells which servers are up, by way of `LockService.health()`. Default true. */
  readonly nodes?: boolean;
}

const SCOPE = 'nestjs-interlock';
const NAMES: ReadonlySet<string> = new Set([
  'meterProvider',
  'tracerProvider',
  'metrics',
  'spans',
  'keys',
  'nodes',
]);

/** @throws LockConfigurationError that says which option is wrong, and how */
export function checkTelemetryOptions(options: LockTelemetryOptions): LockTelemetryOptions {
  refuseUnknown('option of telemetry', options, NAMES);
  for (const name of ['metrics', 'spans', 'keys', 'nodes'] as const) {
    const value: unknown = options[name];
    if (value === undefined || typeof value === 'boolean') continue;
    throw new LockConfigurationError(`${name} is ${show(value)}; give true or false.`);
  }
  return options;
}

/**
 * Makes metrics and spans of what the locks of one service do, until they are shut down.
 *
 * @returns ends it earlier
 * @throws LockConfigurationError when an option is wrong
 */
export function instrumentLocks(locks: LockService, options: LockTelemetryOptions = {}): () => void {
  const {
    meterProvider = metrics.getMeterProvider(),
    tracerProvider = trace.getTracerProvider(),
    metrics: wantsMetrics = true,
    spans: wantsSpans = true,
    keys = false,
    nodes = true,
  } = checkTelemetryOptions(options);
  const about = locks.about;
  const measured = wantsMetrics
    ? new LockMetrics(locks, meterProvider.getMeter(SCOPE), about, nodes)
    : undefined;
  const spans = wantsSpans
    ? new LockSpans(tracerProvider.getTracer(SCOPE), labelsOf(about), keys)
    : undefined;
  const stopTracing = spans && locks.trace(spans);
  let isOver = false;
  const stop = (): void => {
    if (isOver) return;
    isOver = true;
    listening.unsubscribe();
    stopTracing?.();
    measured?.stop();
    spans?.stop();
  };
  const listening = locks.events$.subscribe({
    next: (event) => {
      measured?.count(event);
      spans?.notice(event);
    },
  });
  listening.add(stop);
  return stop;
}
