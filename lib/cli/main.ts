#!/usr/bin/env node
import { runCommandLine } from './run.js';

// whoever reads the output may leave early, as in `… | head`
process.stdout.on('error', () => process.exit(0));

const { stdin: input, stdout: output, stderr: notes, env: environment } = process;
void runCommandLine(process.argv.slice(2), { input, output, notes, environment }).then((code) => {
  process.exitCode = code;
});
