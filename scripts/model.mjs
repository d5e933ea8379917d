/**
 * `npm run model`: checks the model of the lease protocol (test/model/lease.pml) with Spin, over all interleavings
 * within its bounds, and that its mutants fail. It needs `spin` and a C compiler, and says so where they are missing.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, run, script } from './run.mjs';

const MODEL = join(root, 'test/model/lease.pml');
const COMPILERS = ['cc', 'gcc', 'clang'];

/** @type {readonly { title: string, claim: string, define?: string, holds: boolean }[]} */
const CHECKS = [
  { title: 'the resource is safe, and beliefs do not overlap', claim: 'both', holds: true },
  { title: 'without fences, the resource is not safe', claim: 'resource', define: 'NO_FENCE', holds: false },
  {
    title: 'counted from the reply, beliefs overlap',
    claim: 'belief',
    define: 'FROM_THE_REPLY',
    holds: false,
  },
];

/** @param {string} command */
function isInstalled(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined;
}

/**
 * @param {typeof CHECKS[number]} check
 * @param {string} compiler
 */
async function verify({ title, claim, define, holds }, compiler) {
  const cwd = mkdtempSync(join(tmpdir(), 'lease-model-'));
  try {
    const startedAt = performance.now();
    await run('spin', [...(define ? [`-D${define}`] : []), '-a', MODEL], { cwd });
    await run(compiler, ['-O2', '-w', '-DSAFETY', '-DCOLLAPSE', '-o', 'pan', 'pan.c'], { cwd });
    const output = await run(join(cwd, 'pan'), ['-N', claim, '-m200000'], { cwd });
    const [, errors, states] = /errors: (\d+)\s+(\d+) states, stored\b/.exec(output) ?? [];
    // a search that was cut off proves nothing
    const isComplete =
      errors !== undefined && !/max search depth too small|out of memory|Search not completed/.test(output);
    const isAsExpected = holds ? errors === '0' && isComplete : errors === '1';
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    console.log(`${isAsExpected ? '✔' : '✘'} ${title}: ${states} states, ${errors} errors (${seconds} s)`);
    if (!isAsExpected) throw new Error(`The model is not as it should be: ${title}.\n${output}`);
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}

await script(async () => {
  const compiler = COMPILERS.find(isInstalled);
  if (!isInstalled('spin') || !compiler) {
    const missing = compiler ? 'spin' : 'spin and a C compiler';
    console.log(
      `The model was not checked: ${missing} is not installed (Debian, Ubuntu: apt-get install spin gcc libc6-dev).`,
    );
    // who asks for it by name has to have it
    if (process.argv.includes('--required')) process.exitCode = 1;
    return;
  }
  for (const check of CHECKS) await verify(check, compiler);
});
