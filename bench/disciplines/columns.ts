import { median, quantile, ratio, sum } from '../stats.js';
import type { Column, Results } from './discipline.js';

/** All values of all rounds. */
export function valuesOf(name: string, results: Results): number[] {
  return (results.get(name) ?? []).flatMap(({ values }) => values);
}

/** One value a round. */
export function roundsOf(name: string, results: Results): number[] {
  return (results.get(name) ?? []).map(({ values }) => median(values));
}

export function quantileColumn(title: string, q: number, digits: number): Column {
  return { title, digits, figure: (name, results) => quantile(valuesOf(name, results), q) };
}

/** Median, and how far the rounds were apart. */
export function spreadColumns(unit: string, digits: number): Column[] {
  return [
    quantileColumn(unit, 0.5, digits),
    quantileColumn('min', 0, digits),
    quantileColumn('max', 1, digits),
  ];
}

export function timesColumn(base: string): Column {
  return {
    title: `× ${base}`,
    digits: 2,
    figure: (name, results) => ratio(roundsOf(name, results), roundsOf(base, results)),
  };
}

export const callsColumn: Column = {
  title: 'calls/acquisition',
  digits: 1,
  figure(name, results) {
    const rounds = results.get(name) ?? [];
    return sum(rounds.map(({ calls }) => calls)) / sum(rounds.map(({ acquisitions }) => acquisitions));
  },
};
