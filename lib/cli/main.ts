#!/usr/bin/env node
import { parseCommandLine, USAGE, WrongUsage } from './command-line.js';
import { COMMANDS } from './commands.js';
import { openConsole } from './console.js';
import { errorMessage } from '../core/errors.js';

/** 0: done, and all is well. 1: it is not, or could not be done. 2: the command line is wrong. */
async function main(args: readonly string[]): Promise<number> {
  // whoever reads the output may leave early, as in `… | head`
  process.stdout.on('error', () => process.exit(0));
  try {
    const call = parseCommandLine(args, process.env);
    if (call === 'help') {
      process.stdout.write(`${USAGE}\n`);
      return 0;
    }
    return await COMMANDS[call.command](call, openConsole(call.json));
  } catch (error) {
    process.stderr.write(`${errorMessage(error)}\n`);
    if (!(error instanceof WrongUsage)) return 1;
    process.stderr.write('Try: nestjs-interlock --help\n');
    return 2;
  }
}

void main(process.argv.slice(2)).then((code) => (process.exitCode = code));
