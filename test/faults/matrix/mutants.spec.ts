import { execFile } from 'node:child_process';
import { describe, expect, it } from '@jest/globals';
import { MUTANTS } from './mutants.js';
import { ROOT } from './resource.js';

/** A rig that finds a planted bug less often than once in so many runs proves little. */
const RUNS = '20';
const LIMIT_MS = 300_000;

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

describe('the fault matrix', () => {
  it.each(MUTANTS.map(({ name, cells }) => ({ name, cell: cells[0] })))(
    'finds this in $cell, when it is planted: $name',
    async ({ name, cell }) => {
      const printed = await play(name, cell);
      // broken promises, not a library that is broken altogether
      expect(printed).toMatch(new RegExp(`^${cell} run \\d+: I\\d `, 'm'));
      expect(printed).not.toContain('could not be played');
    },
    LIMIT_MS,
  );
});
