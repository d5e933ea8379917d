/**
 * `npm run simulate -- --seeds 100000` plays that many worlds; `--first N` begins elsewhere, `--for 240` stops after
 * so many seconds. `--seed N` plays one again and prints what happened in it. `--mutant NAME` plants a bug first.
 */
import { parseArgs } from 'node:util';
import { simulate, tell, type Failure } from './farm.js';
import { HARMLESS, MUTANTS, plant } from './mutants.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '10000' },
    first: { type: 'string', default: '1' },
    for: { type: 'string' },
    mutant: { type: 'string' },
  },
});
const planted = [...MUTANTS, ...HARMLESS].map(({ name }) => name);
if (values.mutant !== undefined && !planted.includes(values.mutant)) {
  throw new Error(`There is no mutant "${values.mutant}"; there are ${planted.join(', ')}.`);
}
process.exitCode = values.seed === undefined ? await playMany() : await playOne(Number(values.seed));

async function playOne(seed: number): Promise<number> {
  const flaws = values.mutant === undefined ? {} : await plant(values.mutant);
  const { play } = await import('./play.js');
  const { trace, problems, acquired } = await play(seed, flaws, true);
  for (const line of trace) console.log(line);
  console.log(problems.length > 0 ? `\n${problems.join('\n')}` : `\n${acquired} leases, nothing wrong`);
  return problems.length > 0 ? 1 : 0;
}

async function playMany(): Promise<number> {
  const startMs = performance.now();
  let told = startMs;
  let shown = 0;
  const { failures, seeds, acquired, writes, cpuMs } = await simulate({
    firstSeed: Number(values.first),
    seeds: Number(values.seeds),
    mutant: values.mutant,
    mostFailures: 20,
    ...(values.for === undefined ? {} : { forMs: Number(values.for) * 1_000 }),
    onProgress: (harvest) => {
      for (; shown < harvest.failures.length; shown++) console.log(tell(harvest.failures[shown] as Failure));
      if (performance.now() - told < 10_000) return;
      told = performance.now();
      console.log(`${harvest.seeds} worlds, ${harvest.failures.length} with problems`);
    },
  });
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
  const each = (cpuMs / Math.max(1, seeds)).toFixed(2);
  console.log(
    `${seeds} worlds in ${seconds} s (${each} ms of one core each): ${acquired} leases, ${writes} guarded writes, ${failures.length} worlds with problems`,
  );
  return failures.length > 0 ? 1 : 0;
}
