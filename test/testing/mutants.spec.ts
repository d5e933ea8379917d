import { describe, expect, it } from '@jest/globals';
import { contractCases, describeLockBackend, ManualClock } from 'nestjs-interlock/testing';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { memory, MemoryServer } from '../../lib/backends/memory/index.js';
import { CollectingRunner } from './collecting-runner.js';
import { leaseMutants } from './mutants/lease-mutants.js';
import { lineMutants } from './mutants/line-mutants.js';
import { lockDelayMutants } from './mutants/lock-delay-mutants.js';
import type { Mutant } from './mutants/mutant.js';
import { ownershipMutants } from './mutants/ownership-mutants.js';
import { stayMutants } from './mutants/stay-mutants.js';

const mutants: readonly Mutant[] = [
  ...ownershipMutants,
  ...leaseMutants,
  ...lineMutants,
  ...lockDelayMutants,
  ...stayMutants,
];

/** The ids of the cases that fail. */
async function failures(
  mutate: (inner: LockBackend) => LockBackend,
  { modes, lockDelayMs = 0, claimedDelayMs = 0 }: Pick<Mutant, 'modes' | 'lockDelayMs' | 'claimedDelayMs'>,
): Promise<string[]> {
  const clock = new ManualClock();
  const server = new MemoryServer({ clock });
  const runner = new CollectingRunner();
  describeLockBackend('mutant', {
    runner,
    traits: {
      modes: modes ?? ['exclusive', 'shared', 'permits'],
      fence: 'strict',
      wakeUp: 'queue',
      stay: true,
      lockDelayMs: claimedDelayMs,
    },
    create: () => mutate(memory({ server, lockDelay: lockDelayMs })),
    clock,
    wait: (ms) => clock.advance(ms),
  });
  const failed = (await runner.run()).filter(({ error }) => error !== undefined);
  return failed.map(({ name }) => contractCases.find((one) => one.name === name)?.id ?? name);
}

/** Some of them go round for ten thousand waiters, on a clock that costs no time but the processor's. */
const LIMIT_MS = 120_000;

describe('the contract suite', () => {
  it(
    'passes a backend without a planted bug',
    async () => {
      expect(await failures((inner) => inner, {})).toEqual([]);
    },
    LIMIT_MS,
  );

  it.each(mutants.map((mutant) => [mutant.bug, mutant] as const))(
    'catches: %s',
    async (_, mutant) => {
      const failed = await failures(mutant.plant(), mutant);
      expect(failed).toEqual(expect.arrayContaining([...mutant.caughtBy]));
      if (process.env['MUTANTS']) console.log(`${mutant.bug}: ${failed.length}: ${failed.join(' ')}`);
    },
    LIMIT_MS,
  );
});
