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
