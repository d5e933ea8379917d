import { claim, contend, pass } from './functions/claiming.js';
import { abandon, evict, free, leave, purge, release, wake } from './functions/leaving.js';
import { renew, stay, sweep, turn } from './functions/staying.js';
import type { PostgresNames } from './postgres-names.js';
import { tables } from './tables.js';

/** In the order in which they can be made. */
const PARTS = [
  tables,
  purge,
  wake,
  free,
  contend,
  claim,
  leave,
  release,
  pass,
  abandon,
  evict,
  renew,
  stay,
  turn,
  sweep,
];

/** Everything that the locks need in a database, as one text; harmless where it is there already. */
export function migrationOf(names: PostgresNames): string {
  return PARTS.map((part) => part(names).trim()).join('\n\n');
}
