import { expect, test } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Report, Section } from '../../bench/report.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const everybody = [
  'interlock',
  'bare',
  'redlock',
  'redlock-universal',
  'redis-semaphore',
  'verrou',
  'node-redisson',
];
const everybodyIn: Readonly<Record<string, readonly string[]>> = {
  postgres: ['interlock', 'bare', 'pg_advisory_lock', 'ShedLock', 'verrou, Knex', 'verrou, Kysely'],
  mariadb: ['interlock', 'bare', 'GET_LOCK', 'ShedLock', 'verrou, Knex', 'verrou, Kysely'],
};
const inDatabases = Object.entries(everybodyIn).flatMap(([database, rows]) =>
  ['sequential', 'hand-off', 'herd'].map((name) => [`${database}-${name}`, rows]),
);
const herds = ['herd-10', 'herd-200', 'herd-1000', 'herd-5000'];
const renewals = ['renewal-100', 'renewal-1000', 'renewal-10000'];

async function bench(...options: string[]): Promise<string> {
  const args = ['--import', './scripts/ts.mjs', 'bench/main.ts', ...options];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root });
  return stdout;
}

/** Why somebody may have no figures; whoever cannot be loaded where this runs says what it needs. */
function mayRemark({ name }: Section, entry: string, remark: string): boolean {
  if (entry === 'redlock-universal' && remark === 'not run: needs Node 22') return true;
  if (renewals.includes(name)) return ['bare', 'verrou'].includes(entry) && remark === 'does not renew';
  const isSlow = /^not finished within 2 s \(\d+ of \d+ had their turn\)$/.test(remark);
  return /(^|-)herd(-|$)/.test(name) && entry !== 'interlock' && isSlow;
}

test('every contestant has figures in every discipline, or a reason, and all of it is on the page', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'interlock-bench-'));
  const file = join(folder, 'page.md');
  const output = await bench('--quick', '--json', '--write-to', file);
  const page = await readFile(file, 'utf8');
  await rm(folder, { recursive: true });
  const { machine, sections } = JSON.parse(output) as Report;

  expect(machine).toMatch(/Node \d+\.\d+.*, Redis \d+\.\d+.*, PostgreSQL \d+\.\d+, MariaDB \d+\.\d+/);
  expect(sections.map(({ name, table }) => [name, table.rows.map(([entry]) => entry)])).toEqual([
    ['sequential', everybody],
    ['callers', everybody],
    ['hand-off', everybody],
    ['hand-off-across', everybody],
    ...herds.map((name) => [name, everybody]),
    ['herd-processes', everybody],
    ['fairness', everybody],
    ...renewals.map((name) => [name, everybody]),
    ['decorator', ['using', '@Locked']],
    ['telemetry', ['nobody', 'events$', 'metrics and spans']],
    ['start', everybody],
    ['start-nest', ['without locks', 'LockModule, memory', 'LockModule, redis']],
    [
      'import',
      [
        'nestjs-interlock',
        'nestjs-interlock, …/redis',
        ...everybody.filter((name) => !/^(interlock|bare)$/.test(name)),
      ],
    ],
    ...inDatabases,
  ]);
  for (const section of sections) {
    const { figures, remarks, table, title } = section;
    expect(new Set(Object.keys({ ...figures, ...remarks }))).toEqual(
      new Set(table.rows.map(([entry]) => entry)),
    );
    expect(Object.entries(remarks).filter(([entry, why]) => !mayRemark(section, entry, why))).toEqual([]);
    const values = Object.values(figures).flatMap((row) => Object.values(row));
    expect(values.filter((value) => !Number.isFinite(value))).toEqual([]);
    expect(page).toContain(title);
  }
  const bars = sections.flatMap(({ bars }) => bars);
  expect(bars).toHaveLength(22);
  for (const { title } of bars) expect(page).toContain(title);
  expect(page).toContain(machine);
  expect(page).not.toContain('<!--');
  expect(page).not.toContain('Not part of this run');

  // a bench that sees nothing would find everybody in order
  const figure = (discipline: string, entry: string, column: string): number =>
    sections.find(({ name }) => name === discipline)?.figures[entry]?.[column] ?? NaN;
  expect(figure('herd-1000', 'interlock', 'out of order, %')).toBe(0);
  expect(figure('herd-200', 'bare', 'out of order, %')).toBeGreaterThan(0);
  // two statements a cycle, neither more nor what a function runs inside of the server
  for (const database of Object.keys(everybodyIn))
    for (const entry of ['interlock', 'bare'])
      expect(figure(`${database}-sequential`, entry, 'calls/acquisition')).toBe(2);
  for (const name of renewals) expect(figure(name, 'interlock', 'lost')).toBe(0);
}, 600_000);

test('one can choose, sees it as a table, and nothing is written', async () => {
  const output = await bench('--quick', '--only', 'sequential,interlock,bare');

  const firsts = output.split('\n').map((line) => line.trim().split(/\s{2,}/, 1)[0]);
  expect(firsts.filter((first) => everybody.includes(first ?? ''))).toEqual(['interlock', 'bare']);
  expect(output).toMatch(/(PASS|miss) {2}one caller, × bare: \d/);
  expect(output).not.toContain('written to');
}, 30_000);
