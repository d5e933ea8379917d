/**
 * `npm run faults` plays each cell of the fault matrix once and prints what it came to. `--cells 4C,5R` plays some of
 * them (a cell, a fault, or a backend), `--runs 25` each that often, `--seed N` with other dice.
 */
import { parseArgs } from 'node:util';
import { cellsOf } from './cells.js';
import { rowsOf, tableOf } from './report.js';
import { play } from './runner.js';

const { values } = parseArgs({
  options: {
    cells: { type: 'string' },
    runs: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    verbose: { type: 'boolean', default: false },
  },
});
const startMs = performance.now();
const runs = await play({
  cells: cellsOf(values.cells),
  runs: Number(values.runs),
  seed: Number(values.seed),
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
