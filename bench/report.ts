import { cpus, totalmem } from 'node:os';
import type { Bar, Discipline, Results } from './disciplines/discipline.js';

/** The figures of one discipline: by entry, then by column. */
export interface Section {
  readonly name: string;
  readonly title: string;
  readonly figures: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly bars: readonly { readonly title: string; readonly figure: number; readonly passes: boolean }[];
}

export function sectionOf(discipline: Discipline, results: Results): Section {
  const { name, title, columns, bars } = discipline;
  const figures = [...results.keys()].map((entry) => [
    entry,
    Object.fromEntries(columns.map((column) => [column.title, column.figure(entry, results)])),
  ]);
  return {
    name,
    title,
    figures: Object.fromEntries(figures) as Section['figures'],
    bars: bars.map((bar) => judge(bar, results)).filter(({ figure }) => Number.isFinite(figure)),
  };
}

function judge(bar: Bar, results: Results): Section['bars'][number] {
  const figure = bar.figure(results);
  const passes = bar.side === 'at most' ? figure <= bar.limit : figure >= bar.limit;
  return { title: `${bar.title}: ${show(figure, bar.digits)} (${bar.side} ${bar.limit})`, figure, passes };
}

export function print(discipline: Discipline, section: Section): void {
  const head = ['', ...discipline.columns.map(({ title }) => title)];
  const rows = Object.entries(section.figures).map(([entry, figures]) => [
    entry,
    ...discipline.columns.map(({ title, digits }) => show(figures[title] ?? NaN, digits)),
  ]);
  const widths = head.map((_, at) => Math.max(...[head, ...rows].map((row) => row[at]?.length ?? 0)));
  console.log(`\n${section.title}`);
  for (const row of [head, ...rows]) {
    const cells = row.map((cell, at) =>
      at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0),
    );
    console.log(`  ${cells.join('   ')}`);
  }
  for (const { title, passes } of section.bars) console.log(`  ${passes ? 'PASS' : 'miss'}  ${title}`);
}

/** What all this ran on. */
export function machine(redisVersion: string, apart: boolean): string {
  const [cpu, ...more] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${more.length + 1} × ${cpu?.model.trim() ?? 'unknown processor'}, ${memory} GiB; Node ${process.versions.node}, Redis ${redisVersion} on ${apart ? 'a core of its own' : 'any core'}, loopback`;
}

function show(figure: number, digits: number): string {
  return Number.isFinite(figure) ? figure.toFixed(digits) : '–';
}
