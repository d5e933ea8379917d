import assert from 'node:assert/strict';
import { ALL_MODES, type RunnableCase } from '../contract-case.js';
import { expectBackendError, type Trial } from '../trial.js';

async function hasPlausibleTraits(t: Trial): Promise<void> {
  const { traits } = t.backend;
  assert(traits.name !== '', 'a backend has a name');
  assert(traits.pollMs > 0 && Number.isFinite(traits.pollMs));
  assert.deepEqual(
    [...traits.modes].sort(),
    [...t.claimedTraits.modes].sort(),
    'the modes are those expected',
  );
  assert.equal(traits.fence, t.claimedTraits.fence, 'the fence is as expected');
  assert.equal(traits.wakeUp, t.claimedTraits.wakeUp, 'the wake-up is as expected');
  assert.equal(t.backend.stay !== undefined, t.claimedTraits.stay === true, 'it has stay if that is claimed');
  assert.equal(traits.lockDelayMs ?? 0, t.lockDelayMs, 'the lockDelay is as expected');
}

const asClaimed: RunnableCase = {
  id: 'traits',
  theme: 'traits',
  name: '[seam] has the traits that are expected of it',
  lines: [],
  modes: [],
  appliesTo: () => true,
  run: hasPlausibleTraits,
};

/** What a backend cannot do is not skipped: it has to say so. */
const refusals = ALL_MODES.map((mode): RunnableCase => ({
  id: `refuses/${mode}`,
  theme: 'traits',
  name: `[seam] denies a claim in a mode that it has not, and leaves no trace (${mode})`,
  lines: [],
  modes: [],
  appliesTo: (traits) => !traits.modes.includes(mode),
  run: async (t) => {
    for (const queue of [true, false])
      await expectBackendError(t.backend.claim(t.claim(mode, { queue })), 'denied');
    assert.equal(await t.backend.inspect(t.key), null);
  },
}));

export const traits: readonly RunnableCase[] = [asClaimed, ...refusals];
