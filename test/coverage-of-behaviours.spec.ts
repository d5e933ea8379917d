import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { BEHAVIOURS } from './behaviours.js';

const ROOT = join(import.meta.dirname, '..');
/** Where tests are, apart from those that only run elsewhere. */
const FOLDERS = ['lib', 'test', 'sample'];
/** At the beginning of a name: `[12]` or `[7, 8]`. */
const TAG = /(?:['"`]|^)\[(\d+(?:, \d+)*)\] /gm;

function testFiles(): string[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter(
        (path) => !path.includes('node_modules') && /(\.spec|-suite|[/\\]cases[/\\][^/\\]+)\.ts$/.test(path),
      )
      .map((path) => join(ROOT, folder, path)),
  );
}

function numbersIn(source: string): number[] {
  return [...source.matchAll(TAG)].flatMap(([, list = '']) => list.split(', ').map(Number));
}

it('every behaviour is named by at least one test', () => {
  const tested = new Set(testFiles().flatMap((path) => numbersIn(readFileSync(path, 'utf8'))));
  const missing = [...BEHAVIOURS].filter(([number]) => !tested.has(number));
  expect(missing.map(([number, text]) => `[${number}] ${text}`)).toEqual([]);
});

it('the list of behaviours is complete', () => {
  const numbers = (from: number, to: number): number[] =>
    Array.from({ length: to - from + 1 }, (_, n) => from + n);
  expect([...BEHAVIOURS.keys()]).toEqual([...numbers(1, 43), 46, 47, 48, 49, ...numbers(51, 59)]);
});

it('a tag counts only at the beginning of a name', () => {
  expect(
    numbersIn(`it('[7, 8] disposes', …); it("of [9] keys", …); const a = list[10]; scene(\`[11] x\`)`),
  ).toEqual([7, 8, 11]);
});
