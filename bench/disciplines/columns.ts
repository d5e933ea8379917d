import { median, quantile, ratio, sum } from '../stats.js';
import type { Column, Results } from './discipline.js';

/** All values of all turns. */
export function valuesOf(name: string, results: Results): number[] {
  return (results.get(name) ?? []).flatMap(({ values }) => values);
}

/** One value a turn. */
export function turnsOf(name: string, results: Results): number[] {
  return (results.get(name) ?? []).map(({ values }) => median(values));
}

/** How many times `base`, turn by turn. */
export function timesOf(name: string, base: string, results: Results): number {
  return ratio(turnsOf(name, results), turnsOf(base, results));
}

export function quantileColumn(title: string, q: number, digits: number): Column {
  return { title, digits, figure: (name, results) => quantile(valuesOf(name, results), q) };
}

/** A further figure, of all turns. */
export function alsoOf(figure: string, name: string, results: Results): number[] {
  return (results.get(name) ?? []).map(({ also }) => also?.[figure] ?? NaN);
}

export function alsoColumn(title: string, digits: number): Column {
  return { title, digits, figure: (name, results) => median(alsoOf(title, name, results)) };
}

/** Median, and how far the turns were apart. */
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
    figure: (name, results) => timesOf(name, base, results),
  };
}

export const callsColumn: Column = { title: 'calls/acquisition', digits: 1, figure: callsPerAcquisition };

export function callsPerAcquisition(name: string, results: Results): number {
  const turns = results.get(name) ?? [];
  return sum(turns.map(({ calls }) => calls)) / sum(turns.map(({ acquisitions }) => acquisitions));
}
