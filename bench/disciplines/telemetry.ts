import { context } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base';
import { LockService, memory } from 'nestjs-interlock';
import { instrumentLocks } from 'nestjs-interlock/opentelemetry';
import { median } from '../stats.js';
import { spreadColumns, turnsOf } from './columns.js';
import type { Discipline, Entry } from './discipline.js';

export const telemetry: Discipline = {
  name: 'telemetry',
  title: 'CPU time of an acquisition and its release, on the memory backend, by who listens',
  turns: 4,
  columns: spreadColumns('µs/lock', 2),
  bars: [
    {
      title: 'a listener of events$ beyond nobody, µs a lock',
      digits: 2,
      figure(results) {
        const nobody = turnsOf('nobody', results);
        return median(turnsOf('events$', results).map((us, turn) => us - (nobody[turn] ?? NaN)));
      },
      side: 'at most',
      limit: 2,
    },
  ],
  entries: [
    entry('nobody', () => () => undefined),
    entry('events$', (locks) => {
      const listening = locks.events$.subscribe();
      return () => listening.unsubscribe();
    }),
    entry('metrics and spans', instrument),
  ],
};

function instrument(locks: LockService): () => Promise<void> {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const meterProvider = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter })] });
  const tracerProvider = new BasicTracerProvider();
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const stop = instrumentLocks(locks, { meterProvider, tracerProvider });
  return async () => {
    stop();
    context.disable();
    await Promise.all([meterProvider.shutdown(), tracerProvider.shutdown()]);
  };
}

/** @param listen begins to listen, and returns what ends it */
function entry(name: string, listen: (locks: LockService) => () => void | Promise<void>): Entry {
  return {
    name,
    async measure(rig) {
      const locks = new LockService(memory());
      await locks.start();
      const stop = listen(locks);
      const times = rig.size(10_000);
      await lockOften(locks, times);
      const before = process.cpuUsage();
      await lockOften(locks, times);
      const { user, system } = process.cpuUsage(before);
      await stop();
      await locks.stop();
      return { values: [(user + system) / times], calls: 0, acquisitions: times };
    },
  };
}

async function lockOften(locks: LockService, times: number): Promise<void> {
  for (let time = 0; time < times; time++) await locks.using(`seat:${time}`, () => undefined);
}
