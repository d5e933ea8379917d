/**
 * `npm run bench [-- --rounds n --only name,name --quick --json]`: us and the incumbents, side by side, on a
 * server of our own. See README.md.
 */
import { parseArgs } from 'node:util';
import { contestants } from './contestants/index.js';
import { disciplines } from './disciplines/index.js';
import type { Discipline, Measurement } from './disciplines/discipline.js';
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
const chosenDisciplines = chosen(disciplines);
const chosenContestants = chosen(contestants);
for (const name of only) {
  const names = [...disciplines, ...contestants].map((known) => known.name);
  if (!names.includes(name)) throw new Error(`There is no "${name}"; --only takes ${names.join(', ')}.`);
}

/** All of them, unless some are named. */
function chosen<T extends { readonly name: string }>(all: readonly T[]): readonly T[] {
  const named = all.filter(({ name }) => only.has(name));
  return named.length > 0 ? named : all;
}

/** Round by round, every contestant in turn, each time from another one on. */
async function compare(discipline: Discipline, rig: Rig): Promise<Map<string, Measurement[]>> {
  const field = (discipline.contestants ?? contestants).filter((one) => chosenContestants.includes(one));
  const results = new Map(field.map(({ name }): [string, Measurement[]] => [name, []]));
  for (let round = -1; round < rounds; round++) {
    for (let place = 0; place < field.length; place++) {
      const contestant = field[(place + round + 1) % field.length];
      if (!contestant) continue;
      const measurement = await discipline.measure(contestant, rig);
      // the first round warms up
      if (round >= 0) results.get(contestant.name)?.push(measurement);
    }
  }
  return results;
}

const server = await startServer();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void server.stop().finally(() => process.exit(1)));
}
const rig = new Rig(server.url, options.quick);
try {
  const sections = [];
  const title = machine(server.version);
  if (!options.json) console.log(title);
  for (const discipline of chosenDisciplines) {
    const section = sectionOf(discipline, await compare(discipline, rig));
    if (!options.json) print(discipline, section);
    sections.push(section);
  }
  if (options.json) console.log(JSON.stringify({ machine: title, sections }, undefined, 2));
} finally {
  await rig.close();
  await server.stop();
}
