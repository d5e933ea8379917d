/**
 * `npm run faults` plays each cell of the fault matrix once and prints what it came to. `--cells 4C,5R` plays some of
 * them (a cell, a fault, or a backend), `--runs 25` each that often, `--seed N` with other dice. `--mutant NAME` plants a
 * bug, and stops when it is found.
 */
import { parseArgs } from 'node:util';
import { plant } from './mutants.js';

const { values } = parseArgs({
  options: {
    cells: { type: 'string' },
    runs: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    mutant: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
});
// the roads know the scripts by their hashes, so they have to be those of the actors
if (values.mutant !== undefined) plant(values.mutant);
const { cellsOf } = await import('./cells.js');
const { rowsOf, tableOf } = await import('./report.js');
const { play } = await import('./runner.js');
const startMs = performance.now();
const runs = await play({
  cells: cellsOf(values.cells),
  runs: Number(values.runs),
  seed: Number(values.seed),
  ...(values.mutant !== undefined && { mutant: values.mutant }),
  isEnough: ({ violations }) => values.mutant !== undefined && violations.length > 0,
  onRun: ({ cell, nth, ms, violations, figures }) => {
    if (values.verbose)
      console.log(`${cell.name} run ${nth}: ${ms.toFixed(0)} ms`, Object.fromEntries(figures));
    for (const text of violations) console.log(`${cell.name} run ${nth}: ${text}`);
  },
});
const rows = rowsOf(runs);
const violations = rows.flatMap((row) => row.violations);
console.log(tableOf(rows));
const seconds = ((performance.now() - startMs) / 1_000).toFixed(0);
console.log(
  `\n${runs.length} runs of ${rows.length} cells in ${seconds} s, seed ${values.seed}: ${violations.length} violations`,
);
process.exitCode = violations.length > 0 ? 1 : 0;
