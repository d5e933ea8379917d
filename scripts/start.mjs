/** `npm start -- <arguments>`: runs the first sample from its sources. */
import { spawn } from 'node:child_process';
import { root } from './run.mjs';

const args = ['--import', './scripts/ts.mjs', 'sample/01-ticket-shop/main.ts', ...process.argv.slice(2)];
const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' });

// A signal of the terminal reaches the child by itself; one that was sent to this process alone has to be passed on.
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM']))
  process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => {
  process.exitCode = code ?? (signal ? 1 : 0);
});
