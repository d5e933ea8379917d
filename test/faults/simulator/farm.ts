import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Finding } from './world.js';

/** A seed whose world went wrong. */
export interface Failure {
  readonly seed: number;
  readonly problems: readonly string[];
}

/** What many worlds came to. */
export interface Harvest {
  readonly seeds: number;
  readonly failures: readonly Failure[];
  readonly acquired: number;
  readonly writes: number;
  /** Processor time, of all workers. */
  readonly cpuMs: number;
}

export interface Order {
  readonly firstSeed: number;
  readonly seeds: number;
  /** The name of something planted; see mutants.ts. */
  readonly mutant?: string | undefined;
  /** Ends at so many failures; default: only at the end. */
  readonly mostFailures?: number;
  readonly workers?: number;
  /** Begins no new batch after that. */
  readonly forMs?: number;
  onProgress?: (harvest: Harvest) => void;
}

/** What a worker is asked, and what it answers. */
export interface Batch {
  readonly firstSeed: number;
  readonly seeds: number;
}
export interface Yield {
  readonly failures: readonly Failure[];
  readonly acquired: number;
  readonly writes: number;
  readonly cpuMs: number;
}

const BATCH = 200;
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));

/** Plays worlds in processes of their own, side by side. */
export async function simulate(order: Order): Promise<Harvest> {
  const { seeds, firstSeed, workers = availableParallelism(), mostFailures = Infinity } = order;
  const endMs = performance.now() + (order.forMs ?? Infinity);
  const batchSize = Math.min(BATCH, Math.max(1, Math.ceil(seeds / workers)));
  const last = firstSeed + seeds;
  const failures: Failure[] = [];
  let [next, played, acquired, writes, cpuMs] = [firstSeed, 0, 0, 0, 0];
  const harvest = (): Harvest => ({ seeds: played, failures, acquired, writes, cpuMs });
  const nextBatch = (): Batch | undefined => {
    const isEnough = failures.length >= mostFailures || performance.now() >= endMs;
    if (next >= last || isEnough) return undefined;
    const batch = { firstSeed: next, seeds: Math.min(batchSize, last - next) };
    next += batch.seeds;
    return batch;
  };
  const gather = (batch: Batch, found: Yield): void => {
    played += batch.seeds;
    acquired += found.acquired;
    writes += found.writes;
    cpuMs += found.cpuMs;
    failures.push(...found.failures);
    order.onProgress?.(harvest());
  };
  const hands = Math.min(workers, Math.ceil(seeds / batchSize));
  await Promise.all(Array.from({ length: hands }, () => work(nextBatch, gather, order.mutant)));
  failures.sort((one, other) => one.seed - other.seed);
  return harvest();
}

/** One worker, from its first batch to its last. */
function work(
  nextBatch: () => Batch | undefined,
  gather: (batch: Batch, found: Yield) => void,
  mutant: string | undefined,
): Promise<void> {
  const worker = fork(WORKER, mutant === undefined ? [] : [mutant], {
    cwd: ROOT,
    execArgv: ['--import', './scripts/ts.mjs'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  return new Promise((resolve, reject) => {
    let batch = nextBatch();
    const ask = (): void => {
      if (batch) worker.send(batch);
      else worker.disconnect();
    };
    worker.on('message', (found) => {
      if (batch) gather(batch, found as Yield);
      batch = nextBatch();
      ask();
    });
    worker.on('error', reject);
    worker.on('exit', (code) => {
      if (code === 0) resolve();
      else
        reject(
          new Error(
            `a worker of the simulator ended with code ${code}; its seeds began at ${batch?.firstSeed}`,
          ),
        );
    });
    ask();
  });
}

/** For people. */
export function tell({ seed, problems }: Failure): string {
  return [`seed ${seed}: npm run simulate -- --seed ${seed}`, ...problems.slice(0, 5)].join('\n    ');
}

/** What a finding adds to a harvest. */
export function failureOf(seed: number, { problems }: Finding): Failure[] {
  return problems.length > 0 ? [{ seed, problems }] : [];
}
