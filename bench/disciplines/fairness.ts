import { idOf } from '../contestants/contestant.js';
import { contestants } from '../contestants/index.js';
import { monotonicMs } from '../monotonic.js';
import { quantile, sum } from '../stats.js';
import { alsoColumn, callsColumn, quantileColumn, turnsOf } from './columns.js';
import { entriesOf, type Discipline } from './discipline.js';

const PROCESSES = 8;
const FOR_MS = 3_000;

/** Time for the order to arrive everywhere before it takes effect. */
const HEAD_START_MS = 50;

const LEAST = 'least, a process';
const MOST = 'most';
const RATE = 'all, a second';

export const fairness: Discipline = {
  name: 'fairness',
  title: `${PROCESSES} processes that want one key again as soon as they gave it back: acquisitions of each in ${FOR_MS / 1000} s`,
  rounds: 3,
  warmUp: false,
  columns: [
    quantileColumn('most/least', 0.5, 2),
    quantileColumn('max', 1, 2),
    alsoColumn(LEAST, 0),
    alsoColumn(MOST, 0),
    alsoColumn(RATE, 0),
    callsColumn,
  ],
  bars: [
    {
      title: 'most/least acquisitions, the worst round',
      digits: 2,
      figure: (results) => quantile(turnsOf('interlock', results), 1),
      side: 'at most',
      limit: 1.5,
    },
  ],
  entries: entriesOf(contestants, async (contestant, rig) => {
    const crowd = rig.crowd(contestant, PROCESSES);
    for (const one of crowd) await one.ask('ready', { contestant: idOf(contestant) });
    const forMs = rig.size(FOR_MS);
    const startAtMs = monotonicMs() + HEAD_START_MS;
    const terms = { contestant: idOf(contestant), key: rig.freshKey(), startAtMs, forMs };
    const runs = await Promise.all(crowd.map((one) => one.ask('compete', terms)));
    await rig.tidy(contestant, ...crowd);
    for (const [number, { settled }] of runs.entries()) {
      const one = crowd[number];
      if (one && !settled) await rig.replace(one);
    }
    const counts = runs.map(({ acquisitions }) => acquisitions);
    const [least, most, all] = [Math.min(...counts), Math.max(...counts), sum(counts)];
    return {
      // one that had nothing at all counts as if it had had it once
      values: [most / Math.max(1, least)],
      calls: sum(runs.map(({ calls }) => calls)),
      acquisitions: all,
      also: { [LEAST]: least, [MOST]: most, [RATE]: (1000 * all) / forMs },
    };
  }),
};
