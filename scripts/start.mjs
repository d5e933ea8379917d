/** `npm start -- [sample] <arguments>`: runs a sample, the first one if none is named, from its sources. */
import { spawn } from 'node:child_process';
import { root } from './run.mjs';

const [first = '', ...others] = process.argv.slice(2);
const [sample, flags] = /^\d\d-/.test(first) ? [first, others] : ['01-ticket-shop', process.argv.slice(2)];
const args = ['--import', './scripts/ts.mjs', `sample/${sample}/main.ts`, ...flags];
const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' });

// A signal of the terminal reaches the child by itself; one that was sent to this process alone has to be passed on.
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM']))
  process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => {
  process.exitCode = code ?? (signal ? 1 : 0);
});
