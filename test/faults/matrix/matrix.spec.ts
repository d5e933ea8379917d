import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { CELLS } from './cells.js';
import { FAULTS, type Letter } from './fault-table.js';
import { rowsOf } from './report.js';
import { play, type Run } from './runner.js';
import { WORLDS } from './worlds.js';

/** The folders of lib/backends, and what their backends are called in the table of faults; `sql` is what two share. */
const LETTERS: Readonly<Record<string, readonly Letter[]>> = {
  memory: ['M'],
  redis: ['R', 'S', 'C'],
  redlock: ['L'],
  postgres: ['P'],
  mysql: ['Y'],
  zookeeper: ['Z'],
  sql: [],
};
const RUNS = 2;
const LIMIT_MS = 600_000;

describe('the fault matrix', () => {
  const folders = readdirSync(join(import.meta.dirname, '../../../lib/backends'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);

  it('has a world for each backend that is built', () => {
    const built = folders.flatMap<string>((folder) => LETTERS[folder] ?? [folder]);
    expect(new Set(Object.keys(WORLDS))).toEqual(new Set(built));
  });

  it('has a cell for each fault that a backend can meet', () => {
    const applicable = FAULTS.flatMap(({ number, on }) =>
      on.filter((letter) => letter in WORLDS).map((letter) => `${number}${letter}`),
    );
    expect(CELLS.map(({ name }) => name)).toEqual(applicable);
    expect(CELLS.length).toBeGreaterThanOrEqual(96);
  });

  it(
    '[6, 14, 16, 21, 22, 24, 25, 33, 37, 47] breaks no promise in any of its cells',
    async () => {
      const seed = Date.now() % 1_000_000;
      const runs: Run[] = await play({ cells: CELLS, runs: RUNS, seed });
      const violations = rowsOf(runs).flatMap((row) => row.violations);
      expect({ seed, violations }).toEqual({ seed, violations: [] });
      expect(runs).toHaveLength(RUNS * CELLS.length);
    },
    LIMIT_MS,
  );
});
