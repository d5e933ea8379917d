import { expect, test } from '@jest/globals';
import { compare } from '../../bench/compare.js';
import { whyAbsent } from '../../bench/contestants/absence.js';
import type { Discipline, Entry, Measurement, Remark } from '../../bench/disciplines/discipline.js';
import { sectionOf } from '../../bench/report.js';
import type { Rig } from '../../bench/rig.js';

const rig = { quick: false } as Rig;

function discipline(entries: readonly Entry[]): Discipline {
  const column = { title: 'turns', digits: 0, figure: (name: string) => (name === 'steady' ? 1 : NaN) };
  return { name: 'some', title: 'Some', columns: [column], bars: [], entries };
}

function entry(name: string, turns: (Measurement | Remark)[], asked: string[]): Entry {
  return {
    name,
    measure() {
      asked.push(name);
      const turn = turns.shift();
      return turn ? Promise.resolve(turn) : Promise.reject(new Error('asked too often'));
    },
  };
}

const value = (figure: number): Measurement => ({ values: [figure], calls: 0, acquisitions: 1 });

test('entries take turns, each round from another one on, and the first round does not count', async () => {
  const asked: string[] = [];
  const entries = ['a', 'b'].map((name) => entry(name, [1, 2, 3].map(value), asked));

  const { results } = await compare(discipline(entries), entries, 2, rig);

  expect(asked).toEqual(['a', 'b', 'b', 'a', 'a', 'b']);
  expect(results.get('a')?.map(({ values }) => values)).toEqual([[2], [3]]);
});

test('an entry that says why it has no figure is not asked again, and its row says so', async () => {
  const asked: string[] = [];
  const steady = entry('steady', [1, 2, 3].map(value), asked);
  const late = entry('late', [value(1), value(2), { remark: 'not finished' }], asked);
  const some = discipline([late, steady]);

  const { results, remarks } = await compare(some, some.entries, 2, rig);
  const { table } = sectionOf(some, results, remarks, new Map(), 0);

  expect(asked.filter((name) => name === 'late')).toHaveLength(3);
  expect([...results.keys()]).toEqual(['steady']);
  expect(table.rows).toEqual([
    ['late', 'not finished'],
    ['steady', '1'],
  ]);
});

test('a contestant that cannot be loaded says what it needs', async () => {
  const load = (): Promise<never> => Promise.reject(new Error('Cannot find package\nand more'));

  expect(await whyAbsent({ load, needs: 'Node 22' })).toBe('needs Node 22');
  expect(await whyAbsent({ load })).toBe('Cannot find package');
});
