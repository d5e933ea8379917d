import { idOf, type Field } from '../contestants/contestant.js';
import { bare, contestants, onRedis } from '../contestants/index.js';
import { monotonicMs } from '../monotonic.js';
import { median, sum } from '../stats.js';
import type { Rush } from '../tasks/rush.js';
import { alsoColumn, alsoOf, callsColumn, callsPerAcquisition, spreadColumns, turnsOf } from './columns.js';
import {
  entriesOf,
  type Bar,
  type Column,
  type Discipline,
  type Measurement,
  type Remark,
} from './discipline.js';

/** Whoever needs longer than this is not waited for. */
const LIMIT_MS = 10_000;

const SPREAD_WAITERS = 200;
const PROCESSES = 4;

/** Time for the order to arrive everywhere before it takes effect. */
const HEAD_START_MS = 25;

const INVERSIONS = 'out of order, %';

/** What is measured is the ratio already: both sides of it were taken within a moment. */
const columns: readonly Column[] = [...spreadColumns('× ideal', 2), callsColumn];

const drain: Bar = {
  title: 'drain, × ideal',
  digits: 2,
  figure: (results) => median(turnsOf('interlock', results)),
  side: 'at most',
  limit: 1.15,
};

/** As many calls for each as in a small herd. */
const flat: Bar = {
  title: 'calls per acquisition, × those at 200',
  digits: 2,
  figure(results, all) {
    const at200 = callsPerAcquisition('interlock', all.get('herd-200') ?? new Map());
    return callsPerAcquisition('interlock', results) / at200;
  },
  side: 'at most',
  limit: 1.2,
};

const inOrder: Bar = {
  title: 'inversions of first-come order',
  digits: 0,
  figure: (results) => sum(alsoOf('inversions', 'interlock', results)) / (results.has('interlock') ? 1 : NaN),
  side: 'at most',
  limit: 0,
};

export const herds: readonly Discipline[] = [
  herdOf(10, { bars: [], rounds: 5 }),
  herdOf(200, { bars: [drain] }),
  herdOf(1_000, { bars: [], rounds: 3 }),
  herdOf(5_000, { bars: [flat], rounds: 3 }),
];

/** All callers of one replica. */
function herdOf(size: number, { bars, rounds }: { bars: readonly Bar[]; rounds?: number }): Discipline {
  return {
    name: `herd-${size}`,
    title: `${size} callers of one key, in one process; ideal: bare, one after the other`,
    ...(rounds === undefined ? {} : { rounds }),
    columns: [...columns, alsoColumn(INVERSIONS, 1)],
    bars: [...bars, inOrder],
    entries: entriesOf(contestants, async (contestant, rig) => {
      const replica = rig.replica(contestant);
      const callers = rig.callers(size);
      const idealMs = await rig.idealMs(bare, replica, callers);
      const limitMs = rig.limitMs(LIMIT_MS);
      const terms = { contestant: idOf(contestant), key: rig.freshKey(), callers, limitMs };
      const outcome = await replica.ask('rush', terms);
      if (outcome.served < callers) {
        await rig.replace(replica);
        return unfinished(outcome.served, callers, limitMs);
      }
      await rig.tidy(contestant, replica);
      const { startedAtMs, endedAtMs, calls, inversions } = outcome;
      const pairs = (callers * (callers - 1)) / 2;
      const also = { inversions, [INVERSIONS]: (100 * inversions) / pairs };
      return { ...inIdeals(endedAtMs - startedAtMs, idealMs, callers, calls), also };
    }),
  };
}

/** The same crowd, spread over several replicas. */
export const herdOfProcesses = herdOfProcessesOf(onRedis, {
  name: 'herd-processes',
  title: `${SPREAD_WAITERS} callers of one key`,
  size: SPREAD_WAITERS,
  bars: [],
});

export function herdOfProcessesOf(
  { contestants, server, bare }: Field,
  { name, title, size, bars }: { name: string; title: string; size: number; bars: readonly Bar[] },
): Discipline {
  return {
    name,
    title: `${title}, in ${PROCESSES} processes`,
    server,
    rounds: 5,
    columns,
    bars,
    entries: entriesOf(contestants, async (contestant, rig) => {
      const crowd = rig.crowd(contestant, PROCESSES);
      const each = rig.size(size / PROCESSES);
      const callers = each * crowd.length;
      const limitMs = rig.limitMs(LIMIT_MS);
      for (const one of crowd) await one.ask('ready', { contestant: idOf(contestant) });
      const [first] = crowd;
      const idealMs = first ? await rig.idealMs(bare, first, callers) : NaN;
      const startAtMs = monotonicMs() + HEAD_START_MS;
      const terms = { contestant: idOf(contestant), key: rig.freshKey(), callers: each, startAtMs, limitMs };
      const outcomes = await Promise.all(crowd.map((one) => one.ask('rush', terms)));
      const served = sum(outcomes.map((outcome) => outcome.served));
      if (served < callers) {
        for (const one of crowd) await rig.replace(one);
        return unfinished(served, callers, limitMs);
      }
      await rig.tidy(contestant, ...crowd);
      return inIdeals(
        lastEndMs(outcomes) - startAtMs,
        idealMs,
        callers,
        sum(outcomes.map(({ calls }) => calls)),
      );
    }),
  };
}

function lastEndMs(outcomes: readonly Rush[]): number {
  return Math.max(...outcomes.map(({ endedAtMs }) => endedAtMs));
}

function inIdeals(tookMs: number, idealMs: number, callers: number, calls: number): Measurement {
  return { values: [tookMs / idealMs], calls, acquisitions: callers };
}

function unfinished(served: number, callers: number, limitMs: number): Remark {
  return { remark: `not finished within ${limitMs / 1000} s (${served} of ${callers} had their turn)` };
}
