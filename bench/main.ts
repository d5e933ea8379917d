/**
 * `npm run bench [-- --rounds n --only name,name --quick --json]`: us and the incumbents, side by side, on a
 * server of our own. See README.md.
 */
import { parseArgs } from 'node:util';
import { disciplines } from './disciplines/index.js';
import type { Discipline, Measurement, Results } from './disciplines/discipline.js';
import { machine, print, sectionOf } from './report.js';
import { Rig } from './rig.js';
import { startServer } from './server.js';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string' },
    only: { type: 'string', multiple: true, default: [] },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds ?? (options.quick ? 1 : 9));
if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a whole number from 1 on.');
const only = new Set(options.only.flatMap((names) => names.split(',')));
const names = [...disciplines, ...disciplines.flatMap(({ entries }) => entries)].map(({ name }) => name);
for (const name of only) {
  if (names.includes(name)) continue;
  throw new Error(`There is no "${name}"; --only takes ${[...new Set(names)].join(', ')}.`);
}

/** All of them, unless some are named. */
function chosen<T extends { readonly name: string }>(all: readonly T[]): readonly T[] {
  const named = all.filter(({ name }) => only.has(name));
  return named.length > 0 ? named : all;
}

/** In turns, round by round, each time from another entry on. */
async function compare({ entries, turns = 1 }: Discipline, rig: Rig): Promise<Results> {
  const field = chosen(entries);
  const results = new Map(field.map(({ name }): [string, Measurement[]] => [name, []]));
  // the first round warms up
  for (let turn = -turns; turn < rounds * turns; turn++) {
    for (let place = 0; place < field.length; place++) {
      const entry = field[(place + turn + turns) % field.length];
      const measurement = await entry?.measure(rig);
      if (entry && measurement && turn >= 0) results.get(entry.name)?.push(measurement);
    }
  }
  return results;
}

const server = await startServer();
const rig = new Rig(server.url, options.quick);
try {
  const sections = [];
  const title = machine(server.version, server.apart);
  if (!options.json) console.log(title);
  for (const discipline of chosen(disciplines)) {
    const section = sectionOf(discipline, await compare(discipline, rig));
    if (!options.json) print(discipline, section);
    sections.push(section);
  }
  if (options.json) console.log(JSON.stringify({ machine: title, sections }, undefined, 2));
} finally {
  await rig.close();
  await server.stop();
}
