import { setTimeout as sleep } from 'node:timers/promises';
import type { LockInstance } from '../contestants/contestant.js';
import { RETRY_MS } from '../contestants/contestant.js';
import { interlock } from '../contestants/interlock.js';
import { quantile } from '../stats.js';
import { callsColumn, quantileColumn, timesColumn, valuesOf } from './columns.js';
import type { Bar, Column, Discipline, Measurement } from './discipline.js';

/** Long enough for every waiter to have been refused, and to be wherever it waits. */
const SETTLE_MS = 10;

const columns: readonly Column[] = [
  quantileColumn('p50 ms', 0.5, 2),
  quantileColumn('p99 ms', 0.99, 2),
  quantileColumn('min', 0, 2),
  quantileColumn('max', 1, 2),
];

/** Between two replicas of an application. */
export const handOff: Discipline = {
  name: 'hand-off',
  title: 'Hand-off to the one waiter of another instance: from the call of release until it has the lock',
  columns: [...columns, timesColumn('bare'), callsColumn],
  bars: [bar('p50', 0.5, 0.8), bar('p99', 0.99, 3)],
  async measure(contestant, rig) {
    const [holder, waiter] = [await rig.instance(contestant, 0), await rig.instance(contestant, 1)];
    const calls = rig.countCalls();
    const values = await handOffs(holder, waiter, rig.size(25), () => rig.freshKey());
    return measurement(values, calls());
  },
};

/** Between two callers of one replica. The others make no difference between these and callers elsewhere. */
export const handOffInside: Discipline = {
  name: 'hand-off-inside',
  title: 'The same with holder and waiter in one instance',
  columns: [...columns, callsColumn],
  bars: [],
  contestants: [interlock],
  async measure(contestant, rig) {
    const locks = await rig.instance(contestant);
    const calls = rig.countCalls();
    const values = await handOffs(locks, locks, rig.size(25), () => rig.freshKey());
    return measurement(values, calls());
  },
};

async function handOffs(
  holder: LockInstance,
  waiter: LockInstance,
  times: number,
  freshKey: () => string,
): Promise<number[]> {
  const tookMs: number[] = [];
  for (let time = 0; time < times; time++) {
    const key = freshKey();
    const release = await holder.acquire(key);
    let hadAt = NaN;
    const waiting = waiter.acquire(key).then((next) => {
      hadAt = performance.now();
      return next;
    });
    // at any point between two tries of those who try again and again
    await sleep(SETTLE_MS + Math.random() * RETRY_MS);
    const startedAt = performance.now();
    const released = release();
    const releaseNext = await waiting;
    tookMs.push(hadAt - startedAt);
    await released;
    await releaseNext();
  }
  return tookMs;
}

function measurement(values: readonly number[], calls: number): Measurement {
  return { values, calls, acquisitions: 2 * values.length };
}

function bar(name: string, q: number, limit: number): Bar {
  return {
    title: `hand-off, ${name} ms`,
    digits: 2,
    figure: (results) => quantile(valuesOf('interlock', results), q),
    side: 'at most',
    limit,
  };
}
