/**
 * `npm run faults` plays each cell of the fault matrix once and prints what it came to. `--cells 4C,5R` plays some of
 * them (a cell, a fault, or a backend), `--runs 25` each that often, `--seed N` with other dice. `--write` puts the table
 * into docs/reliability.md. `--incumbents` plays what other libraries can enter with them instead. `--mutant NAME` plants
 * a bug, and stops when it is found.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { plant } from './mutants.js';
import type { Order, Run } from './runner.js';

const { values } = parseArgs({
  options: {
    cells: { type: 'string' },
    runs: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    mutant: { type: 'string' },
    incumbents: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});
// the roads know the scripts by their hashes, so they have to be those of the actors
if (values.mutant !== undefined) plant(values.mutant);
const { cellsOf } = await import('./cells.js');
const { comparisonOf, replaceBetween, rowsOf, tableOf } = await import('./report.js');
const { play } = await import('./runner.js');
const { ROOT } = await import('./resource.js');

/** Of libraries that know neither Sentinels nor clusters alike, whose keys have other names, and that cannot be inspected. */
const INCUMBENT_CELLS = '1R,2R,3R,5R,6R,10R,21R,27R';

const runs = Number(values.runs);
const seed = Number(values.seed);
if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs is ${values.runs}; give a whole number.`);
if (!Number.isInteger(seed)) throw new Error(`--seed is ${values.seed}; give a whole number.`);
process.exitCode = await (values.incumbents ? playIncumbents() : playOurs());

async function playOurs(): Promise<number> {
  const startMs = performance.now();
  const { mutant } = values;
  const played = await playAll({
    cells: cellsOf(values.cells),
    ...(mutant !== undefined && { mutant, isEnough: ({ violations }: Run) => violations.length > 0 }),
  });
  const rows = rowsOf(played);
  const violations = rows.reduce((sum, row) => sum + row.violations.length, 0);
  console.log(tableOf(rows));
  console.log(`\n${summary(played.length, rows.length, startMs)}: ${violations} violations`);
  if (values.write)
    await write(
      'matrix',
      `${summary(played.length, rows.length)}: ${violations} violations.\n\n${tableOf(rows)}`,
    );
  return violations > 0 ? 1 : 0;
}

async function playIncumbents(): Promise<number> {
  const { INCUMBENTS } = await import('../../../bench/incumbents.js');
  const lines = [
    '| library | cell | fault | runs | broken, how many times | the first of them |',
    '| --- | --- | --- | --- | --- | --- |',
  ];
  for (const library of INCUMBENTS) {
    const played = await playAll({ cells: cellsOf(values.cells ?? INCUMBENT_CELLS), library });
    lines.push(comparisonOf(library, rowsOf(played)));
  }
  console.log(lines.join('\n'));
  if (values.write) await write('incumbents', `Seed ${seed}, ${today()}.\n\n${lines.join('\n')}`);
  return 0;
}

function playAll(order: Pick<Order, 'cells' | 'library' | 'mutant' | 'isEnough'>): Promise<Run[]> {
  const onRun = ({ cell, nth, ms, violations, figures }: Run): void => {
    if (values.verbose)
      console.log(`${cell.name} run ${nth}: ${ms.toFixed(0)} ms`, Object.fromEntries(figures));
    for (const text of violations) console.log(`${cell.name} run ${nth}: ${text}`);
  };
  return play({ ...order, runs, seed, onRun });
}

function summary(count: number, cells: number, startMs?: number): string {
  const took = startMs === undefined ? today() : `${((performance.now() - startMs) / 1_000).toFixed(0)} s`;
  return `${count} runs of ${cells} cells, seed ${seed}, ${took}`;
}

function today(): string {
  return new Date().toISOString().slice(0, 10);
}

async function write(name: string, text: string): Promise<void> {
  const path = join(ROOT, 'docs', 'reliability.md');
  await writeFile(path, replaceBetween(await readFile(path, 'utf8'), name, text));
}
