import { parseArgs } from 'node:util';
import { durationMs } from '../core/duration.js';
import { errorMessage, show } from '../core/errors.js';

const COMMAND_NAMES = ['ls', 'inspect', 'release', 'watch', 'doctor', 'sql'] as const;
export type CommandName = (typeof COMMAND_NAMES)[number];

/** What somebody asked for. */
export interface CommandCall {
  readonly command: CommandName;
  /** What stands behind the command, where it takes something. */
  readonly subject: string | undefined;
  readonly url: string | undefined;
  readonly prefix: string | undefined;
  readonly json: boolean;
  /** Not to be asked. */
  readonly yes: boolean;
  readonly intervalMs: number;
  /** When to end by itself. */
  readonly forMs: number | undefined;
}

/** The command line is wrong; says how. */
export class WrongUsage extends Error {}

export const USAGE = `nestjs-interlock <command> [options]

  ls [PREFIX]           the keys that are held or waited for
  inspect KEY           who holds a key, until when, with which fence, and how many wait
  release KEY           takes a key from its holder, who is told; asks before it does
  watch [PREFIX]        tells what changes, until it is interrupted
  doctor                connects, asks every server, takes locks and gives them back
  sql DATABASE          the SQL that makes the tables: postgres or mysql

  --url URL             where the locks are; default: the variable INTERLOCK_URL
                          redis://[user:password@]host[:port][/db]   rediss:// with TLS
                          redis+sentinel://[user:password@]host:port,host:port/NAME
                          redis+cluster://[user:password@]host:port,host:port
                          postgres://[user:password@]host[:port]/database
                          mysql://[user:password@]host[:port]/database, also for MariaDB
  --prefix PREFIX       that of the LockModule; default: interlock
  --json                for programs; \`watch\` writes a line of JSON for each change
  --yes                 \`release\` does not ask
  --interval DURATION   how often \`watch\` looks; default: 1s
  --for DURATION        when \`watch\` ends by itself
  --help`;

/** Which commands take something behind them, and whether they need it. */
const SUBJECTS: Readonly<
  Record<CommandName, { readonly what: string; readonly isNeeded: boolean } | undefined>
> = {
  ls: { what: 'PREFIX', isNeeded: false },
  inspect: { what: 'KEY', isNeeded: true },
  release: { what: 'KEY', isNeeded: true },
  watch: { what: 'PREFIX', isNeeded: false },
  doctor: undefined,
  sql: { what: 'DATABASE', isNeeded: true },
};

const OPTIONS = {
  url: { type: 'string' },
  prefix: { type: 'string' },
  json: { type: 'boolean', default: false },
  yes: { type: 'boolean', default: false },
  interval: { type: 'string', default: '1s' },
  for: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

/** @throws WrongUsage */
export function parseCommandLine(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): CommandCall | 'help' {
  const { values, positionals } = parse(args);
  if (values.help) return 'help';
  const [command, subject, ...more] = positionals;
  if (command === undefined) throw new WrongUsage('Say what to do.');
  const name = COMMAND_NAMES.find((known) => known === command);
  if (!name)
    throw new WrongUsage(`There is no command ${show(command)}; there are ${COMMAND_NAMES.join(', ')}.`);
  checkSubject(name, subject, more);
  return {
    command: name,
    subject,
    url: values.url ?? environment['INTERLOCK_URL'],
    prefix: values.prefix,
    json: values.json,
    yes: values.yes,
    intervalMs: duration('--interval', values.interval, 50),
    forMs: values.for === undefined ? undefined : duration('--for', values.for, 0),
  };
}

type Parsed = ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>>;

function parse(args: readonly string[]): Parsed {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new WrongUsage(errorMessage(error));
  }
}

function checkSubject(command: CommandName, subject: string | undefined, more: readonly string[]): void {
  const wanted = SUBJECTS[command];
  if (!wanted && subject !== undefined) throw new WrongUsage(`${command} takes nothing but options.`);
  if (wanted?.isNeeded && !subject) throw new WrongUsage(`${command} needs a ${wanted.what}.`);
  if (more.length > 0) throw new WrongUsage(`${command} takes one ${wanted?.what ?? 'word'}, not several.`);
}

function duration(option: string, text: string, minMs: number): number {
  try {
    return durationMs(option, /^\d+$/.test(text) ? Number(text) : text, { minMs, maxMs: 86_400_000 });
  } catch (error) {
    throw new WrongUsage(errorMessage(error));
  }
}
