import type { Cell } from './cells.js';
import type { Run } from './runner.js';

/** What all runs of one cell came to. */
export interface Row {
  readonly cell: Cell;
  readonly runs: number;
  readonly violations: readonly string[];
  /** The worst of each. */
  readonly figures: ReadonlyMap<string, number>;
}

export function rowsOf(runs: readonly Run[]): Row[] {
  const cells = [...new Set(runs.map(({ cell }) => cell))];
  return cells.map((cell) => {
    const own = runs.filter((run) => run.cell === cell);
    const figures = new Map<string, number>();
    for (const run of own)
      for (const [name, value] of run.figures)
        figures.set(name, Math.max(value, figures.get(name) ?? -Infinity));
    const violations = own.flatMap((run) =>
      run.violations.map((text) => `${cell.name} run ${run.nth}: ${text}`),
    );
    return { cell, runs: own.length, violations, figures };
  });
}

/** As Markdown, which people can read too. Times are in ms, and the worst of all runs. */
export function tableOf(rows: readonly Row[]): string {
  const head = [
    'cell',
    'fault',
    'must hold',
    'runs',
    'violations',
    'take-over',
    'recovery',
    'I4 gap',
    'starved',
    'told late',
    'overlap',
  ];
  const lines = rows.map(({ cell, runs, violations, figures }) => [
    cell.name,
    cell.fault.title,
    cell.fault.holds.join(' '),
    runs,
    violations.length,
    ...['take-over', 'recovery', 'I4 gap', 'starved', 'told late', 'overlap'].map((name) =>
      figure(figures.get(name)),
    ),
  ]);
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function figure(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '–';
  return Math.abs(value) < 10 ? value.toFixed(1) : value.toFixed(0);
}

/** Of libraries that others made: how many times each promise was broken in each cell, and what was found first. */
export function comparisonOf(library: string, rows: readonly Row[]): string {
  return rows
    .map(({ cell, runs, violations }) => {
      const texts = violations.map((text) => text.replace(/^\S+ run \d+: /, ''));
      const first = texts[0]?.split('\n')[0] ?? '–';
      return `| ${library} | ${cell.name} | ${cell.fault.title} | ${runs} | ${countsOf(texts)} | ${first} |`;
    })
    .join('\n');
}

/** As in `I1 4, I8 2`. */
function countsOf(texts: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const [invariant] of texts.map((text) => text.split(' ', 1)))
    counts.set(invariant ?? '', (counts.get(invariant ?? '') ?? 0) + 1);
  const inOrder = [...counts].sort(([one], [other]) => one.localeCompare(other));
  return inOrder.map(([invariant, count]) => `${invariant} ${count}`).join(', ') || '–';
}

/** Puts text between the marks of that name in a page, in place of what was there. */
export function replaceBetween(page: string, name: string, text: string): string {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`The page has no marks "${begin}" and "${end}".`);
  return `${page.slice(0, from + begin.length)}\n\n${text}\n\n${page.slice(to)}`;
}
