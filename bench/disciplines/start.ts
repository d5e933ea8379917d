import { idOf } from '../contestants/contestant.js';
import { contestants } from '../contestants/index.js';
import type { Locking } from '../tasks/start.js';
import { spreadColumns } from './columns.js';
import { entriesOf, type Discipline, type Entry } from './discipline.js';

/** Each time in a new process: an application starts cold. */
export const start: Discipline = {
  name: 'start',
  title: 'From opening an instance until its first lock, in a new process',
  rounds: 5,
  warmUp: false,
  columns: spreadColumns('ms', 1),
  bars: [],
  entries: entriesOf(contestants, (contestant, rig) =>
    rig.inFreshReplica(async (replica) => {
      const tookMs = await replica.ask('firstLock', { contestant: idOf(contestant) });
      return { values: [tookMs], calls: 0, acquisitions: 1 };
    }),
  ),
};

export const startNest: Discipline = {
  name: 'start-nest',
  title: 'Start of a Nest application of one module, in a new process',
  rounds: 5,
  warmUp: false,
  columns: spreadColumns('ms', 1),
  bars: [],
  entries: [
    entry('without locks', 'none'),
    entry('LockModule, memory', 'memory'),
    entry('LockModule, redis', 'redis'),
  ],
};

function entry(name: string, locking: Locking): Entry {
  return {
    name,
    measure: (rig) =>
      rig.inFreshReplica(async (replica) => {
        const tookMs = await replica.ask('startNest', { locking });
        return { values: [tookMs], calls: 0, acquisitions: 0 };
      }),
  };
}
