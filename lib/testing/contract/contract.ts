import assert from 'node:assert/strict';
import { Ahead } from './ahead.js';
import { abandonment } from './cases/abandonment.js';
import { basics } from './cases/basics.js';
import { fences } from './cases/fences.js';
import { lease } from './cases/lease.js';
import { lingering } from './cases/lingering.js';
import { lockDelay } from './cases/lock-delay.js';
import { order } from './cases/order.js';
import { ownership } from './cases/ownership.js';
import { permits } from './cases/permits.js';
import { sharing } from './cases/sharing.js';
import { stay } from './cases/stay.js';
import { traits } from './cases/traits.js';
import { waiting } from './cases/waiting.js';
import type { ContractCase, RunnableCase } from './contract-case.js';
import type { ContractOptions } from './contract-options.js';
import { globalRunner } from './runner.js';
import { Trial, TRIAL_LIMIT_MS } from './trial.js';

const runnable: readonly RunnableCase[] = [
  ...traits,
  ...basics,
  ...waiting,
  ...abandonment,
  ...lease,
  ...ownership,
  ...lingering,
  ...lockDelay,
  ...order,
  ...stay,
  ...sharing,
  ...permits,
  ...fences,
];

/** Everything that a backend can be asked, so that a test can check that each one was asked or ruled out. */
export const contractCases: readonly ContractCase[] = runnable;

/** What became of the contract's cases; complete when the tests have run. */
export interface ContractRun {
  /** The ids of those that were run, whether they passed or failed. */
  readonly ran: ReadonlySet<string>;
  /** The ids of those that the traits rule out. */
  readonly ruledOut: ReadonlySet<string>;
}

/**
 * Registers the contract of {@link LockBackend} as tests: what every backend must do, as far as its traits reach.
 * The last test fails when a case was neither run nor ruled out by the traits, so a combination that is missing does
 * not pass in silence.
 *
 * The tests take at most a minute each; a server's suite takes about half a minute altogether.
 *
 * @param name what the backend is called in the names of the tests
 * @throws TypeError when no runner is given, and none is global
 *
 * @example
 * const clock = new ManualClock();
 * const server = new MemoryServer({ clock });
 * describeLockBackend('memory', {
 *   runner: { describe, it },
 *   traits: { modes: ['exclusive', 'shared', 'permits'], fence: 'strict', wakeUp: 'queue', stay: true },
 *   create: () => memory({ server }),
 *   clock,
 *   wait: (ms) => clock.advance(ms),
 * });
 */
export function describeLockBackend(name: string, options: ContractOptions): ContractRun {
  const { describe, it } = options.runner ?? globalRunner();
  const ran = new Set<string>();
  const ruledOut = new Set<string>();
  const applicable = runnable.filter((one) => one.appliesTo(options.traits));
  const ahead = new Ahead(
    applicable.map((one) => () => Trial.run(options, one.run)),
    options.sideBySide ?? 1,
  );
  for (const { id } of runnable) if (!applicable.some((one) => one.id === id)) ruledOut.add(id);
  describe(`the contract of a lock backend: ${name}`, () => {
    for (const [theme, cases] of byTheme(applicable)) {
      describe(theme, () => {
        for (const one of cases) {
          const run = (): Promise<void> => {
            ran.add(one.id);
            return ahead.result(applicable.indexOf(one));
          };
          it(one.name, run, TRIAL_LIMIT_MS);
        }
      });
    }
    // in a block of its own: Mocha runs the tests of a block before the blocks in it
    describe('completeness', () => {
      it('[seam] ran every case that the traits do not rule out', () => checkComplete(ran, ruledOut));
      it('[seam] leaves nothing on the server', () => checkEmpty(options));
    });
  });
  return { ran, ruledOut };
}

async function checkComplete(ran: ReadonlySet<string>, ruledOut: ReadonlySet<string>): Promise<void> {
  const missing = runnable.map(({ id }) => id).filter((id) => !ran.has(id) && !ruledOut.has(id));
  assert.deepEqual(missing, [], 'these cases were not run, and the traits do not rule them out');
}

async function checkEmpty({ leftovers }: ContractOptions): Promise<void> {
  assert.deepEqual((await leftovers?.()) ?? [], []);
}

function byTheme(cases: readonly RunnableCase[]): ReadonlyMap<string, readonly RunnableCase[]> {
  const themes = new Map<string, RunnableCase[]>();
  for (const one of cases) {
    const others = themes.get(one.theme);
    if (others) others.push(one);
    else themes.set(one.theme, [one]);
  }
  return themes;
}
