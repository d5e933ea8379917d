import { describe, expect, it } from '@jest/globals';
import { simulate, tell } from './farm.js';
import { HARMLESS, MUTANTS } from './mutants.js';
import { play } from './play.js';

/** So many worlds are one run: about a second of one core. */
const RUN = 200;
/** A rig that finds a planted bug less often than once in so many runs proves little. */
const RUNS = 20;
const WORLDS = 8_000;
/** All of them are far quicker; but a machine may be busy. */
const LIMIT_MS = 600_000;

describe('the simulator', () => {
  it(
    '[6, 11, 12, 16, 22, 24, 26, 33, 47] finds nothing wrong in thousands of worlds',
    async () => {
      const { failures, seeds, acquired, writes } = await simulate({ firstSeed: 1, seeds: WORLDS });
      expect(failures.map(tell)).toEqual([]);
      expect(seeds).toBe(WORLDS);
      expect(acquired).toBeGreaterThan(10 * WORLDS);
      expect(writes).toBeGreaterThan(3 * WORLDS);
    },
    LIMIT_MS,
  );

  it.each(MUTANTS.map(({ name }) => name))(
    'finds this, when it is planted: %s',
    async (mutant) => {
      const { failures } = await simulate({ firstSeed: 1, seeds: RUN * RUNS, mutant, mostFailures: 1 });
      expect(failures).not.toEqual([]);
    },
    LIMIT_MS,
  );

  it.each(HARMLESS.map(({ name }) => name))(
    'finds nothing in what the core makes up for: %s',
    async (mutant) => {
      const { failures } = await simulate({ firstSeed: 1, seeds: 1_000, mutant });
      expect(failures.map(tell)).toEqual([]);
    },
    LIMIT_MS,
  );

  it('plays the same seed in the same way', async () => {
    for (const seed of [3, 9, 27, 51]) {
      const [one, again] = [await play(seed, {}, true), await play(seed, {}, true)];
      expect(one.trace.length).toBeGreaterThan(20);
      expect(again.trace).toEqual(one.trace);
    }
  });
});
