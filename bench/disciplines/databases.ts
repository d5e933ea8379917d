import type { Field } from '../contestants/contestant.js';
import { onMariadb, onPostgres } from '../contestants/databases.js';
import { median } from '../stats.js';
import { callsPerAcquisition, turnsOf } from './columns.js';
import type { Bar, Discipline } from './discipline.js';
import { bar, handOffAcrossOf } from './hand-off.js';
import { herdOfProcessesOf } from './herd.js';
import { sequentialOf } from './sequential.js';

const WAITERS = 100;
const VERROU = ['verrou, Knex', 'verrou, Kysely'];

const timesVerrou: Bar = {
  title: 'hand-off, verrou × ours',
  digits: 1,
  figure(results) {
    const p50 = (name: string): number => median(turnsOf(name, results));
    const theirs = VERROU.filter((name) => results.has(name)).map(p50);
    return theirs.length > 0 ? Math.min(...theirs) / p50('interlock') : NaN;
  },
  side: 'at least',
  limit: 10,
};

const fewStatements: Bar = {
  title: 'statements per acquisition',
  digits: 2,
  figure: (results) => callsPerAcquisition('interlock', results),
  side: 'at most',
  limit: 3,
};

/** What the databases are good for that a team has already. */
export const inDatabases: readonly Discipline[] = [
  ...disciplinesOf(onPostgres, 'PostgreSQL', {
    handOff: [bar('across processes, p50', 0.5, 3), timesVerrou],
    herd: [fewStatements],
  }),
  ...disciplinesOf(onMariadb, 'MariaDB', { handOff: [], herd: [] }),
];

function disciplinesOf(
  field: Field,
  title: string,
  bars: { readonly handOff: readonly Bar[]; readonly herd: readonly Bar[] },
): Discipline[] {
  return [
    sequentialOf(field, { name: `${field.server}-sequential`, title: `${title}, one caller`, limit: 1.2 }),
    handOffAcrossOf(field, {
      name: `${field.server}-hand-off`,
      title: `${title}, hand-off to the one waiter, in another process`,
      bars: bars.handOff,
    }),
    herdOfProcessesOf(field, {
      name: `${field.server}-herd`,
      title: `${title}, ${WAITERS} callers of one key`,
      size: WAITERS,
      bars: bars.herd,
    }),
  ];
}
