import { errorMessage } from '../core/errors.js';
import { parseCommandLine, USAGE, WrongUsage } from './command-line.js';
import { COMMANDS } from './commands.js';
import { openConsole, type Terminal } from './console.js';

/**
 * Does what somebody asked for at a terminal. Never rejects.
 *
 * @returns the exit code. 0: done, and all is well. 1: it is not, or could not be done. 2: the command line is wrong.
 */
export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const call = parseCommandLine(args, terminal.environment);
    if (call === 'help') {
      terminal.output.write(`${USAGE}\n`);
      return 0;
    }
    return await COMMANDS[call.command](call, openConsole(call.json, terminal));
  } catch (error) {
    terminal.notes.write(`${errorMessage(error)}\n`);
    if (!(error instanceof WrongUsage)) return 1;
    terminal.notes.write('Try: nestjs-interlock --help\n');
    return 2;
  }
}
