import { execFile } from 'node:child_process';
import { describe, expect, it } from '@jest/globals';
import { Ahead } from '../../../lib/testing/contract/ahead.js';
import { MUTANTS } from './mutants.js';
import { ROOT } from './resource.js';

/** A rig that finds a planted bug less often than once in so many runs proves little. */
const RUNS = '20';
const LIMIT_MS = 300_000;
/** Most of a run is waiting, and the rig allows for a busy machine. */
const SIDE_BY_SIDE = 3;

/** What `npm run faults` prints. */
function play(mutant: string, cell: string): Promise<string> {
  const program = ['--import', './scripts/ts.mjs', 'test/faults/matrix/main.ts'];
  const args = [...program, '--mutant', mutant, '--cells', cell, '--runs', RUNS];
  const env = { ...process.env, NODE_OPTIONS: '' };
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: ROOT, env }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    );
  });
}

async function find(mutant: string, cell: string): Promise<void> {
  const printed = await play(mutant, cell);
  // broken promises, not a library that is broken altogether
  expect(printed).toMatch(new RegExp(`^${cell} run \\d+: I\\d `, 'm'));
  expect(printed).not.toContain('could not be played');
}

describe('the fault matrix', () => {
  const searches = new Ahead(
    MUTANTS.map(
      ({ name, cells }) =>
        () =>
          find(name, cells[0]),
    ),
    SIDE_BY_SIDE,
  );
  it.each(MUTANTS.map(({ name, cells }, nth) => ({ name, cell: cells[0], nth })))(
    'finds this in $cell, when it is planted: $name',
    ({ nth }) => searches.result(nth),
    LIMIT_MS,
  );
});
