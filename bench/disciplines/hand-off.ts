import { setTimeout as sleep } from 'node:timers/promises';
import { RETRY_MS, type LockInstance } from '../contestants/contestant.js';
import { contestants } from '../contestants/index.js';
import { interlock } from '../contestants/interlock.js';
import type { Rig } from '../rig.js';
import { quantile } from '../stats.js';
import { callsColumn, quantileColumn, timesColumn, valuesOf } from './columns.js';
import { entriesOf, type Bar, type Column, type Discipline, type Measurement } from './discipline.js';

/** Long enough for a waiter to have been refused, and to be wherever it waits. */
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
  entries: entriesOf(contestants, async (contestant, rig) =>
    handOffs(await rig.instance(contestant, 0), await rig.instance(contestant, 1), rig),
  ),
};

/** Between two callers of one replica. To the others these are no different from callers elsewhere. */
export const handOffInside: Discipline = {
  name: 'hand-off-inside',
  title: 'The same with holder and waiter in one instance',
  columns: [...columns, callsColumn],
  bars: [],
  entries: entriesOf([interlock], async (contestant, rig) => {
    const locks = await rig.instance(contestant);
    return handOffs(locks, locks, rig);
  }),
};

async function handOffs(holder: LockInstance, waiter: LockInstance, rig: Rig): Promise<Measurement> {
  const values: number[] = [];
  const times = rig.size(25);
  const calls = rig.countCalls();
  for (let time = 0; time < times; time++) values.push(await handOverMs(holder, waiter, rig.freshKey()));
  return { values, calls: calls(), acquisitions: 2 * times };
}

async function handOverMs(holder: LockInstance, waiter: LockInstance, key: string): Promise<number> {
  const release = await holder.acquire(key);
  let hadAt = NaN;
  const waiting = waiter.acquire(key).then((next) => {
    hadAt = performance.now();
    return next;
  });
  // at any moment between two tries of those who try again and again
  await sleep(SETTLE_MS + Math.random() * RETRY_MS);
  const startedAt = performance.now();
  const released = release();
  const releaseNext = await waiting;
  await released;
  await releaseNext();
  return hadAt - startedAt;
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
