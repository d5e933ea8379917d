import { cpus, totalmem } from 'node:os';
import type { Bar, Discipline, Results } from './disciplines/discipline.js';
import type { Servers } from './server.js';

export interface Report {
  readonly machine: string;
  readonly sections: readonly Section[];
}

/** What came out of one discipline. */
export interface Section {
  readonly name: string;
  readonly title: string;
  readonly tookMs: number;
  /** By entry, then by column. */
  readonly figures: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Of those that have no figures: why. */
  readonly remarks: Readonly<Record<string, string>>;
  /** The same for the eye. */
  readonly table: Table;
  readonly bars: readonly Judgement[];
}

export interface Table {
  readonly head: readonly string[];
  /** Each begins with the name of its entry; one without figures has its remark as its only other cell. */
  readonly rows: readonly (readonly string[])[];
}

export interface Judgement {
  readonly title: string;
  readonly figure: number;
  readonly passes: boolean;
}

export function sectionOf(
  discipline: Discipline,
  results: Results,
  remarks: ReadonlyMap<string, string>,
  all: ReadonlyMap<string, Results>,
  tookMs: number,
): Section {
  const { name, title, columns, bars, entries } = discipline;
  const figures = [...results.keys()].map((entry) => [
    entry,
    Object.fromEntries(columns.map((column) => [column.title, column.figure(entry, results)])),
  ]);
  const rows = entries.flatMap((entry) => {
    const remark = remarks.get(entry.name);
    if (remark !== undefined) return [[entry.name, remark]];
    if (!results.has(entry.name)) return [];
    return [[entry.name, ...columns.map(({ figure, digits }) => show(figure(entry.name, results), digits))]];
  });
  return {
    name,
    title,
    tookMs,
    figures: Object.fromEntries(figures) as Section['figures'],
    remarks: Object.fromEntries(remarks),
    table: { head: ['', ...columns.map((column) => column.title)], rows },
    bars: bars.map((bar) => judge(bar, results, all)).filter(({ figure }) => Number.isFinite(figure)),
  };
}

function judge(bar: Bar, results: Results, all: ReadonlyMap<string, Results>): Judgement {
  const figure = bar.figure(results, all);
  const passes = bar.side === 'at most' ? figure <= bar.limit : figure >= bar.limit;
  return { title: `${bar.title}: ${show(figure, bar.digits)} (${bar.side} ${bar.limit})`, figure, passes };
}

export function print({ title, tookMs, table: { head, rows }, bars }: Section): void {
  const tables = [head, ...rows.filter(({ length }) => length === head.length)];
  const widths = head.map((_, at) => Math.max(...tables.map((row) => row[at]?.length ?? 0)));
  widths[0] = Math.max(...rows.map(([name = '']) => name.length), 0);
  console.log(`\n${title} [${(tookMs / 1000).toFixed(0)} s]`);
  for (const row of [head, ...rows]) {
    const isRemark = row.length < head.length;
    const cells = row.map((cell, at) =>
      at === 0 || isRemark ? cell.padEnd(at === 0 ? (widths[at] ?? 0) : 0) : cell.padStart(widths[at] ?? 0),
    );
    console.log(`  ${cells.join('   ')}`);
  }
  for (const { title: bar, passes } of bars) console.log(`  ${passes ? 'PASS' : 'miss'}  ${bar}`);
}

/** What all this ran on. */
export function machine({ titles, areApart }: Servers): string {
  const [cpu, ...more] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${more.length + 1} × ${cpu?.model.trim() ?? 'unknown processor'}, ${memory} GiB; Node ${process.versions.node}, ${titles.join(', ')} on ${areApart ? 'a core of their own' : 'any core'}, loopback`;
}

function show(figure: number, digits: number): string {
  return Number.isFinite(figure) ? figure.toFixed(digits) : '–';
}
