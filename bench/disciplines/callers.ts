import { contestants } from '../contestants/index.js';
import { callsColumn, spreadColumns, timesColumn, timesOf } from './columns.js';
import { entriesOf, type Discipline } from './discipline.js';
import { cycle } from './sequential.js';

const CALLERS = 64;

export const callers: Discipline = {
  name: 'callers',
  title: `${CALLERS} callers at once, each with a key of its own`,
  turns: 2,
  columns: [...spreadColumns('cycles/ms', 1), timesColumn('bare'), callsColumn],
  bars: [
    {
      title: `${CALLERS} callers, × the fastest of the others`,
      digits: 2,
      figure(results) {
        const others = [...results.keys()].filter((name) => name !== 'interlock');
        return Math.min(...others.map((name) => timesOf('interlock', name, results)));
      },
      side: 'at least',
      limit: 0.9,
    },
  ],
  entries: entriesOf(contestants, async (contestant, rig) => {
    const locks = await rig.instance(contestant);
    const keys = Array.from({ length: CALLERS }, () => rig.freshKey());
    const each = rig.size(100);
    // an application that has just become busy is another matter: the first thousand cycles are half as fast
    await Promise.all(keys.map((key) => cycle(locks, key, rig.size(30))));
    const calls = rig.countCalls();
    const startedAt = performance.now();
    await Promise.all(keys.map((key) => cycle(locks, key, each)));
    const tookMs = performance.now() - startedAt;
    const acquisitions = CALLERS * each;
    return { values: [acquisitions / tookMs], calls: calls(), acquisitions };
  }),
};
