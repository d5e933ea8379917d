import { ratio } from '../stats.js';
import { callsColumn, roundsOf, spreadColumns, timesColumn } from './columns.js';
import type { Discipline } from './discipline.js';
import { cyclesMs } from './sequential.js';

const CALLERS = 64;

export const callers: Discipline = {
  name: 'callers',
  title: `${CALLERS} callers at once, each with a key of its own`,
  columns: [...spreadColumns('cycles/ms', 1), timesColumn('bare'), callsColumn],
  bars: [
    {
      title: `${CALLERS} callers, × the fastest of the others`,
      digits: 2,
      figure(results) {
        const others = [...results.keys()].filter((name) => name !== 'interlock');
        const ours = roundsOf('interlock', results);
        return Math.min(...others.map((name) => ratio(ours, roundsOf(name, results))));
      },
      side: 'at least',
      limit: 0.9,
    },
  ],
  async measure(contestant, rig) {
    const locks = await rig.instance(contestant);
    const keys = Array.from({ length: CALLERS }, () => rig.freshKey());
    const each = rig.size(60);
    await Promise.all(keys.map((key) => cyclesMs(locks, key, rig.size(10))));
    const calls = rig.countCalls();
    const startedAt = performance.now();
    await Promise.all(keys.map((key) => cyclesMs(locks, key, each)));
    const acquisitions = CALLERS * each;
    return {
      values: [acquisitions / (performance.now() - startedAt)],
      calls: calls(),
      acquisitions,
    };
  },
};
