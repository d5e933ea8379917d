/** `npm run check`: everything a machine can say without running the code. `--update` repairs what can be repaired. */
import { run, script } from './run.mjs';

const update = process.argv.includes('--update');

/** @type {readonly [title: string, command: string, ...args: string[]][]} */
const steps = [
  ['format', 'prettier', update ? '--write' : '--check', '--log-level', 'warn', '.'],
  ['embedded Lua', 'node', 'scripts/embed-lua.mjs', ...(update ? [] : ['--check'])],
  ['lint', 'oxlint', '--type-aware', '--deny-warnings'],
  ['types', 'tsc', '-p', 'tsconfig.json'],
  ['dependencies', 'depcruise', '--config', '.dependency-cruiser.mjs', '--output-type', 'err', 'lib'],
  ['public types', 'node', 'scripts/public-types.mjs', ...(update ? ['--update'] : [])],
];

await script(async () => {
  const failed = [];
  for (const [title, command, ...args] of steps) {
    const startedAt = performance.now();
    const problem = await run(command, args).then(
      () => undefined,
      (error) => error.message,
    );
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    console.log(`${problem ? '✘' : '✔'} ${title} (${seconds} s)`);
    if (problem) console.log(`${problem}\n`);
    if (problem) failed.push(title);
  }
  if (failed.length > 0) throw new Error(`failed: ${failed.join(', ')}`);
});
