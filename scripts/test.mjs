/**
 * `npm test -- <jest arguments>`: starts the servers the tests need, then Jest in ESM mode. Without arguments everything
 * runs: first what can run side by side, then, one after the other, what plays with processes of its own in real time.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './run.mjs';
import { ensureServers, untried } from './servers.mjs';

/** They need both cores for themselves. */
const ALONE = 'test/(bench|sample|faults/matrix|leadership/processes|redis/failover-)';
/** One worker, and a process of its own: Jest ends that even when a test left something running. */
const ONE_WORKER = ['--maxWorkers=1', '--workerIdleMemoryLimit=4GB'];

const jest = createRequire(import.meta.url).resolve('jest/bin/jest');
const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];

/**
 * @param {string[]} args
 * @param {Record<string, string>} [variables]
 */
function run(args, variables) {
  const nodeOptions = [process.env['NODE_OPTIONS'], ...flags].filter(Boolean).join(' ');
  const { status } = spawnSync(process.execPath, [...flags, jest, ...args], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...variables, NODE_OPTIONS: nodeOptions },
  });
  return status ?? 1;
}

/** Prints one line for both parts: the last one, which CI reads. What was not tried is told in the line before. */
function runAll() {
  const folder = mkdtempSync(join(tmpdir(), 'interlock-tally-'));
  const tally = { passed: 0, failed: 0, skipped: 0 };
  let failures = 0;
  try {
    const parts = [
      ['--testPathIgnorePatterns', '/node_modules/', ALONE],
      ['--testPathPatterns', ALONE, ...ONE_WORKER],
    ];
    for (const [nth, args] of parts.entries()) {
      const file = join(folder, `${nth}.json`);
      if (run(args, { INTERLOCK_TALLY: file }) !== 0) failures++;
      const part = JSON.parse(readFileSync(file, 'utf8'));
      tally.passed += part.passed;
      tally.failed += part.failed;
      tally.skipped += part.skipped;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  tellUntried();
  process.stdout.write(`${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped\n`);
  return failures === 0 ? 0 : 1;
}

function tellUntried() {
  const what = untried();
  if (what) process.stdout.write(`${what}\n`);
}

await ensureServers();
const args = process.argv.slice(2);
if (args.length > 0) tellUntried();
process.exit(args.length > 0 ? run(args) : runAll());
