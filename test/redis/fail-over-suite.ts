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

/** The strikes of a suite: the given ones, or as many as were asked for, in turn. */
export function strikes(...usual: Strike[]): [run: number, strike: Strike][] {
  const count = asked || usual.length;
  return Array.from({ length: count }, (_, at) => [at + 1, usual[at % usual.length] ?? 'losing']);
}

/** One test for each run. */
export function testFailOvers(
  title: string,
  field: () => Battlefield,
  runs: readonly [run: number, strike: Strike][],
  check: (report: FailOverReport, strike: Strike) => void,
): void {
  it.each(runs)(
    `${title} (run %i, %s)`,
    async (run, strike) => {
      const report = await FailOverTrial.run(field(), strike);
      if (asked) process.stdout.write(`${line(title, run, strike, report)}\n`);
      expect(report.violations).toEqual([]);
      check(report, strike);
    },
    RUN_LIMIT_MS,
  );
}

function line(title: string, run: number, strike: Strike, report: FailOverReport): string {
  const round = (ms: number): string => (Number.isFinite(ms) ? `${Math.round(ms)} ms` : '–');
  const { recoveredMs, lost, gone, slackMs, served, refused, late, doubles, longestDoubleMs, violations } =
    report;
  return [
    `${title}, run ${run}, ${strike}: acquiring again after ${round(recoveredMs)}`,
    `told of a loss ${lost} (gone ${gone}), at least ${round(slackMs)} before the end of the ttl`,
    `waiters served ${served}, refused ${refused}`,
    `granted in the last moment ${late}`,
    `double holders ${doubles} (at most ${round(longestDoubleMs)})`,
    `violations ${violations.length}`,
  ].join('; ');
}
