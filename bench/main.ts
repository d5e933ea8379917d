/**
 * `npm run bench [-- --rounds n --only name,name --quick --json --no-write --write-to file]`: us and the
 * incumbents, side by side, on servers of our own. A full run writes docs/benchmarks.md.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from '../scripts/run.mjs';
import { compare } from './compare.js';
import { disciplines } from './disciplines/index.js';
import type { Results } from './disciplines/discipline.js';
import { writePage } from './page.js';
import { machine, print, sectionOf, type Report } from './report.js';
import { Rig } from './rig.js';
import { Servers } from './server.js';

const ROUNDS = 9;

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string' },
    only: { type: 'string', multiple: true, default: [] },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    'no-write': { type: 'boolean', default: false },
    'write-to': { type: 'string' },
  },
});
const rounds = Number(options.rounds ?? (options.quick ? 1 : ROUNDS));
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

/** Only a full run has figures that are worth to be kept. */
function pageToWrite(): string | undefined {
  if (options['write-to'] !== undefined) return options['write-to'];
  const isFull = only.size === 0 && !options.quick && rounds >= ROUNDS;
  return isFull && !options['no-write'] ? join(root, 'docs', 'benchmarks.md') : undefined;
}

async function run(rig: Rig, title: string): Promise<Report> {
  const all = new Map<string, Results>();
  const sections = [];
  for (const discipline of chosen(disciplines)) {
    await rig.quiet();
    const startedAt = performance.now();
    const { results, remarks } = await compare(discipline, chosen(discipline.entries), rounds, rig);
    all.set(discipline.name, results);
    const tookMs = performance.now() - startedAt;
    const section = sectionOf(discipline, results, remarks, all, tookMs);
    if (!options.json) print(section);
    sections.push(section);
  }
  return { machine: title, sections };
}

const servers = await Servers.start(chosen(disciplines).map(({ server = 'redis' }) => server));
const rig = new Rig(servers, options.quick);
try {
  const title = machine(servers);
  if (!options.json) console.log(title);
  const report = await run(rig, title);
  const page = pageToWrite();
  if (page !== undefined) await writePage(page, report);
  if (options.json) console.log(JSON.stringify(report, undefined, 2));
  else if (page !== undefined) console.log(`\nwritten to ${page}`);
} finally {
  await rig.close();
  await servers.stop();
}
// what some of the others left behind would keep this process for half a minute
process.exit();
