/**
 * `npm run failovers -- --runs 20 [sentinel | cluster]`: as many fail-overs of each suite as asked for, one after the
 * other, with a line for each. `npm test` has the same ones, a few of each.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { root, script } from './run.mjs';

await script(async () => {
  const { values, positionals } = parseArgs({
    options: { runs: { type: 'string', default: '20' } },
    allowPositionals: true,
  });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs is ${values.runs}; give a whole number.`);
  const [topology = '(sentinel|cluster)'] = positionals;
  const flags = ['--selectProjects', 'nest-12', '--runInBand', '--testPathPatterns', `failover-${topology}`];
  const { status } = spawnSync(process.execPath, ['scripts/test.mjs', ...flags], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, INTERLOCK_FAILOVERS: String(runs) },
  });
  if (status !== 0) throw new Error('Not all fail-overs went well; see above.');
});
