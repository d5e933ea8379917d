/** Plays the worlds that its parent asks for; a mutant, if one is named, is planted before the library is loaded. */
import type { Batch, Failure, Yield } from './farm.js';
import { plant } from './mutants.js';

// most errors in these worlds are part of them, and where they were made costs a quarter of the time
Error.stackTraceLimit = 0;
const mutant = process.argv[2];
const flaws = mutant === undefined ? {} : await plant(mutant);
const { play } = await import('./play.js');

process.on('message', (batch: Batch) => void carryOut(batch).then((found) => process.send?.(found)));

async function carryOut({ firstSeed, seeds }: Batch): Promise<Yield> {
  const startUs = process.cpuUsage().user;
  const failures: Failure[] = [];
  let [acquired, writes] = [0, 0];
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const finding = await play(seed, flaws);
    acquired += finding.acquired;
    writes += finding.writes;
    if (finding.problems.length > 0) failures.push({ seed, problems: finding.problems });
  }
  return { failures, acquired, writes, cpuMs: (process.cpuUsage().user - startUs) / 1_000 };
}
