import { execFile } from 'node:child_process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { run } from '../../scripts/run.mjs';
import { contestants } from '../contestants/index.js';
import { alsoColumn, spreadColumns } from './columns.js';
import { entriesOf, type Discipline, type Entry, type Measurement } from './discipline.js';

const bench = fileURLToPath(new URL('..', import.meta.url));
const built = fileURLToPath(new URL('../../.tmp/bench/', import.meta.url));

/** What an application has loaded already when it comes to its locks. */
const THERE = ['reflect-metadata', '@nestjs/common', '@nestjs/core', 'ioredis'];

const ALONE = 'alone, with all they need';

export const imports: Discipline = {
  name: 'import',
  title: 'Import, in a new process: what it adds to Nest and ioredis, and alone',
  rounds: 5,
  warmUp: false,
  columns: [...spreadColumns('ms', 1), alsoColumn(ALONE, 1)],
  bars: [],
  entries: [
    entry('nestjs-interlock', ours('index.js')),
    entry('nestjs-interlock, …/redis', ours('index.js', 'backends/redis/index.js')),
    ...others({
      redlock: ['redlock'],
      'redlock-universal': ['redlock-universal'],
      'redis-semaphore': ['redis-semaphore'],
      verrou: ['@verrou/core', '@verrou/core/drivers/redis'],
      'node-redisson': ['node-redisson'],
    }),
  ],
};

function entry(name: string, specifiers: readonly string[]): Entry {
  return { name, measure: () => importOf(specifiers) };
}

function others(packages: Readonly<Record<string, readonly string[]>>): Entry[] {
  const known = contestants.filter(({ name }) => name in packages);
  return entriesOf(known, ({ name }) => importOf(packages[name] ?? []));
}

async function importOf(specifiers: readonly string[]): Promise<Measurement> {
  await build();
  const addedMs = await importMs(THERE, specifiers);
  const aloneMs = await importMs([], specifiers);
  return { values: [addedMs], calls: 0, acquisitions: 0, also: { [ALONE]: aloneMs } };
}

let building: Promise<unknown> | undefined;

/** As it is published: loading the sources would time their compiler. */
function build(): Promise<unknown> {
  return (building ??= run('tsc', ['-p', 'tsconfig.esm.json', '--outDir', built]));
}

function ours(...files: readonly string[]): string[] {
  return files.map((file) => pathToFileURL(`${built}${file}`).href);
}

async function importMs(there: readonly string[], specifiers: readonly string[]): Promise<number> {
  const code = `
    for (const specifier of ${JSON.stringify(there)}) await import(specifier);
    const startedAt = performance.now();
    for (const specifier of ${JSON.stringify(specifiers)}) await import(specifier);
    process.stdout.write(String(performance.now() - startedAt), () => process.exit());`;
  const args = ['--input-type=module', '--eval', code];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: bench });
  return Number(stdout);
}
