import { expect, test } from '@jest/globals';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

interface Report {
  readonly machine: string;
  readonly sections: readonly {
    readonly name: string;
    readonly figures: Readonly<Record<string, Readonly<Record<string, number>>>>;
    readonly bars: readonly { readonly title: string; readonly figure: number; readonly passes: boolean }[];
  }[];
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const everybody = ['interlock', 'bare', 'redlock', 'redis-semaphore', 'verrou'];

async function bench(...options: string[]): Promise<string> {
  const args = ['--import', './scripts/ts.mjs', 'bench/main.ts', ...options];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root });
  return stdout;
}

test('every contestant has a figure in every discipline', async () => {
  const { machine, sections } = JSON.parse(await bench('--quick', '--json')) as Report;

  expect(machine).toMatch(/Node \d+\.\d+.*, Redis \d+\.\d+/);
  expect(sections.map(({ name, figures }) => [name, Object.keys(figures)])).toEqual([
    ['sequential', everybody],
    ['callers', everybody],
    ['hand-off', everybody],
    ['hand-off-inside', ['interlock']],
    ['herd', everybody],
    ['herd-processes', everybody],
    ['decorator', ['using', '@Locked']],
  ]);
  const figures = sections.flatMap(({ figures }) =>
    Object.values(figures).flatMap((row) => Object.values(row)),
  );
  expect(figures.filter((figure) => !Number.isFinite(figure))).toEqual([]);
  expect(sections.flatMap(({ bars }) => bars)).toHaveLength(7);
}, 120_000);

test('one can choose, and sees it as a table', async () => {
  const output = await bench('--quick', '--only', 'sequential,interlock,bare');

  const firsts = output.split('\n').map((line) => line.trim().split(/\s{2,}/, 1)[0]);
  expect(firsts.filter((first) => everybody.includes(first ?? ''))).toEqual(['interlock', 'bare']);
  expect(output).toMatch(/(PASS|miss) {2}one caller, × bare: \d/);
}, 30_000);
