import { expect, it } from '@jest/globals';
import {
  FailOverTrial,
  type Battlefield,
  type FailOverReport,
  type Strike,
} from '../support/fail-over-trial.js';

const RUN_LIMIT_MS = 90_000;

/** How many runs of each suite were asked for, by `npm run failovers`; none in an ordinary test. */
const asked = Number(process.env['INTERLOCK_FAILOVERS'] ?? 0);

/** The strikes of a suite: the usual ones, or as many as were asked for, in turn. */
export function strikes(usual: Strike[], whenAsked = usual): [run: number, strike: Strike][] {
  const kinds = asked ? whenAsked : usual;
  return Array.from({ length: asked || usual.length }, (_, at) => [
    at + 1,
    kinds[at % kinds.length] ?? 'losing',
  ]);
}

/** One test for each run; prints a line for each when a number of runs was asked for. */
export function testFailOvers(
  topology: string,
  sentence: string,
  field: () => Battlefield,
  runs: readonly [run: number, strike: Strike][],
  check: (report: FailOverReport, strike: Strike) => void,
): void {
  it.each(runs)(
    `${sentence} (run %i, %s)`,
    async (run, strike) => {
      const report = await FailOverTrial.run(field(), strike);
      if (asked) process.stdout.write(`${line(topology, run, strike, report)}\n`);
      expect(report.violations).toEqual([]);
      check(report, strike);
    },
    RUN_LIMIT_MS,
  );
}

function line(title: string, run: number, strike: Strike, report: FailOverReport): string {
  const ms = (value: number): string => (Number.isFinite(value) ? `${Math.round(value)} ms` : '–');
  const told = Object.entries(report.lost)
    .map(([why, count]) => `${count} ${why}`)
    .join(' and ');
  const { served, refused, late, doubles, violations } = report;
  return [
    `${title}, run ${run}, ${strike}`,
    `works again after ${ms(report.recoveredMs)}`,
    `losses told ${told}, ${ms(report.slackMs)} before the end of the ttl at the latest`,
    `event loop late by ${ms(report.stallMs)} at most`,
    `waiters served ${served}, refused ${refused}`,
    `granted in the last moment ${late}`,
    `in two hands ${doubles} (${ms(report.longestDoubleMs)} at most)`,
    `violations: ${violations.join(', ') || 'none'}`,
  ].join('; ');
}
