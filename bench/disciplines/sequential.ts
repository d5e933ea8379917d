import type { Field, LockInstance } from '../contestants/contestant.js';
import { onRedis } from '../contestants/index.js';
import { median } from '../stats.js';
import { callsColumn, spreadColumns, timesColumn, timesOf } from './columns.js';
import { entriesOf, type Discipline } from './discipline.js';

/** Acquires and releases a key so many times, one after the other; how long each took, in ms. */
export async function cycle(locks: LockInstance, key: string, times: number): Promise<number[]> {
  const tookMs: number[] = [];
  let startedAt = performance.now();
  for (let time = 0; time < times; time++) {
    const release = await locks.acquire(key);
    await release();
    const endedAt = performance.now();
    tookMs.push(endedAt - startedAt);
    startedAt = endedAt;
  }
  return tookMs;
}

export const sequential = sequentialOf(onRedis, { name: 'sequential', title: 'One caller', limit: 1.1 });

/** @param limit of what we take, in times of `bare` */
export function sequentialOf(
  { contestants, server }: Field,
  { name, title, limit }: { name: string; title: string; limit: number },
): Discipline {
  return {
    name,
    title: `${title}: acquire and release, one after the other`,
    server,
    turns: 12,
    columns: [...spreadColumns('µs/cycle', 0), timesColumn('bare'), callsColumn],
    bars: [
      {
        title: 'one caller, × bare',
        digits: 2,
        figure: (results) => timesOf('interlock', 'bare', results),
        side: 'at most',
        limit,
      },
    ],
    entries: entriesOf(contestants, async (contestant, rig) => {
      const locks = await rig.instance(contestant);
      const key = rig.freshKey();
      await cycle(locks, key, rig.size(20));
      const times = rig.size(100);
      const calls = rig.countCalls();
      // the median: a mean would tell how often the machine did something else meanwhile
      const typicalMs = median(await cycle(locks, key, times));
      return { values: [typicalMs * 1000], calls: calls(), acquisitions: times };
    }),
  };
}
