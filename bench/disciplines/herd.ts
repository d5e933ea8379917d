import { bare } from '../contestants/bare.js';
import { contestants } from '../contestants/index.js';
import type { Rig } from '../rig.js';
import { median, sum } from '../stats.js';
import { callsColumn, spreadColumns, turnsOf } from './columns.js';
import { entriesOf, type Column, type Discipline, type Measurement } from './discipline.js';
import { cycle } from './sequential.js';

const WAITERS = 200;
const PROCESSES = 4;

/** What is measured is the ratio already: both sides of it were taken within a moment. */
const columns: readonly Column[] = [...spreadColumns('× ideal', 2), callsColumn];

/** All callers of one replica. */
export const herd: Discipline = {
  name: 'herd',
  title: `${WAITERS} callers of one key, in one process; ideal: bare, one after the other`,
  columns,
  bars: [
    {
      title: `${WAITERS} waiters, × ideal`,
      digits: 2,
      figure: (results) => median(turnsOf('interlock', results)),
      side: 'at most',
      limit: 1.2,
    },
    {
      title: `${WAITERS} waiters, calls per acquisition`,
      digits: 1,
      figure: (results) => callsColumn.figure('interlock', results),
      side: 'at most',
      limit: 4,
    },
  ],
  entries: entriesOf(contestants, async (contestant, rig) => {
    const locks = await rig.instance(contestant);
    const waiters = rig.size(WAITERS);
    const idealMs = await idealFor(waiters, rig);
    const key = rig.freshKey();
    const calls = rig.countCalls();
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: waiters }, () => cycle(locks, key, 1)));
    return inIdeals(performance.now() - startedAt, idealMs, waiters, calls());
  }),
};

/** The same crowd, spread over several replicas. */
export const herdOfProcesses: Discipline = {
  name: 'herd-processes',
  title: `${WAITERS} callers of one key, in ${PROCESSES} processes`,
  columns,
  bars: [],
  entries: entriesOf(contestants, async (contestant, rig) => {
    const each = rig.size(WAITERS / PROCESSES);
    const waiters = each * PROCESSES;
    const idealMs = await idealFor(waiters, rig);
    const { tookMs, calls } = await rig.crowd(PROCESSES).run(contestant, rig.freshKey(), each);
    return inIdeals(tookMs, idealMs, waiters, calls);
  }),
};

/** The mean, not the median: all of the time of all 200 counts on the other side too. */
async function idealFor(cycles: number, rig: Rig): Promise<number> {
  return sum(await cycle(await rig.instance(bare), rig.freshKey(), cycles));
}

function inIdeals(tookMs: number, idealMs: number, waiters: number, calls: number): Measurement {
  return { values: [tookMs / idealMs], calls, acquisitions: waiters };
}
