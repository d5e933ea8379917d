import { bare } from '../contestants/bare.js';
import { median } from '../stats.js';
import { callsColumn, roundsOf, spreadColumns } from './columns.js';
import type { Column, Discipline, Measurement } from './discipline.js';
import { cyclesMs } from './sequential.js';
import type { Rig } from '../rig.js';

const WAITERS = 200;
const PROCESSES = 4;

/** What is measured is already the ratio to the ideal: both were taken within one second. */
const columns: readonly Column[] = [...spreadColumns('× ideal', 2), callsColumn];

/** 200 callers of one replica. */
export const herd: Discipline = {
  name: 'herd',
  title: `${WAITERS} callers of one key, in one process; ideal: bare, one after the other`,
  columns,
  bars: [
    {
      title: `${WAITERS} waiters, × ideal`,
      digits: 2,
      figure: (results) => median(roundsOf('interlock', results)),
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
  async measure(contestant, rig) {
    const locks = await rig.instance(contestant);
    const waiters = rig.size(WAITERS);
    const idealMs = await idealFor(waiters, rig);
    const key = rig.freshKey();
    const calls = rig.countCalls();
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: waiters }, () => cyclesMs(locks, key, 1)));
    return inIdeals(performance.now() - startedAt, idealMs, waiters, calls());
  },
};

/** The same crowd, spread over four replicas. */
export const herdOfProcesses: Discipline = {
  name: 'herd-processes',
  title: `${WAITERS} callers of one key, in ${PROCESSES} processes`,
  columns,
  bars: [],
  async measure(contestant, rig) {
    const each = rig.size(WAITERS / PROCESSES);
    const waiters = each * PROCESSES;
    const idealMs = await idealFor(waiters, rig);
    const crowd = rig.crowd(PROCESSES);
    const { tookMs, calls } = await crowd.run(contestant, rig.freshKey(), each);
    return inIdeals(tookMs, idealMs, waiters, calls);
  },
};

async function idealFor(cycles: number, rig: Rig): Promise<number> {
  return cyclesMs(await rig.instance(bare), rig.freshKey(), cycles);
}

function inIdeals(tookMs: number, idealMs: number, waiters: number, calls: number): Measurement {
  return { values: [tookMs / idealMs], calls, acquisitions: waiters };
}
