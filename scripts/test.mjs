/** `npm test -- <jest arguments>`: starts the servers the tests need, then Jest in ESM mode. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { root } from './run.mjs';

const servers = new URL('./servers.mjs', import.meta.url);
if (existsSync(servers)) {
  const { ensureServers } = await import(servers.href);
  await ensureServers();
}

const jest = createRequire(import.meta.url).resolve('jest/bin/jest');
const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
const { status } = spawnSync(process.execPath, [...flags, jest, ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, NODE_OPTIONS: [process.env['NODE_OPTIONS'], ...flags].filter(Boolean).join(' ') },
});
process.exit(status ?? 1);
