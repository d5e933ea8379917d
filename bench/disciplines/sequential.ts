import type { LockInstance } from '../contestants/contestant.js';
import { ratio } from '../stats.js';
import { callsColumn, roundsOf, spreadColumns, timesColumn } from './columns.js';
import type { Discipline } from './discipline.js';

/** Acquires and releases a free key so many times, one after the other; how long that took. */
export async function cyclesMs(locks: LockInstance, key: string, cycles: number): Promise<number> {
  const startedAt = performance.now();
  for (let cycle = 0; cycle < cycles; cycle++) {
    const release = await locks.acquire(key);
    await release();
  }
  return performance.now() - startedAt;
}

export const sequential: Discipline = {
  name: 'sequential',
  title: 'One caller: acquire and release, one after the other',
  columns: [...spreadColumns('µs/cycle', 0), timesColumn('bare'), callsColumn],
  bars: [
    {
      title: 'one caller, × bare',
      digits: 2,
      figure: (results) => ratio(roundsOf('interlock', results), roundsOf('bare', results)),
      side: 'at most',
      limit: 1.1,
    },
  ],
  async measure(contestant, rig) {
    const locks = await rig.instance(contestant);
    const key = rig.freshKey();
    await cyclesMs(locks, key, rig.size(100));
    const cycles = rig.size(500);
    const calls = rig.countCalls();
    const ms = await cyclesMs(locks, key, cycles);
    return { values: [(ms * 1000) / cycles], calls: calls(), acquisitions: cycles };
  },
};
