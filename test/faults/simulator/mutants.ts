import { plantPatches, type Patch } from '../patching.js';
import type { Flaws } from './world.js';

/** A bug that a lock library may have, planted to see that it is found. */
export interface Mutant {
  readonly name: string;
  readonly patches?: readonly Patch[];
  readonly flaws?: Flaws;
}

/** Those of BEHAVIOURS.md that a core, a wire or a server without quorum can have, and some more. */
export const MUTANTS: readonly Mutant[] = [
  { name: 'release without compare', flaws: { server: 'release without compare' } },
  { name: 'a claim that does not know its owner', flaws: { server: 'claim forgets its owner' } },
  { name: 'a late claim of the abandoned is granted', flaws: { server: 'no mark of the abandoned' } },
  { name: 'deadline from the reply', flaws: { wire: 'deadline from the reply' } },
  { name: 'hints only', flaws: { wire: 'hints only' } },
  { name: 'wall-clock deadline', flaws: { wallClock: true } },
  {
    name: 'renewal deadline from the reply',
    patches: [
      { file: 'core/keeper.ts', find: 'hold.confirm(sentAtMs);', replace: 'hold.confirm(this.clock.now());' },
    ],
  },
  {
    name: 'no validity check',
    patches: [
      {
        file: 'core/contender.ts',
        find: 'if (nowMs < deadlineOf(grant.sentAtMs, grant.leaseMs ?? ttlMs)) {',
        replace: 'if (ttlMs > 0) {',
      },
      { file: 'core/keeper.ts', find: 'nowMs >= hold.deadlineMs', replace: 'nowMs < 0' },
      {
        file: 'core/hold.ts',
        find: 'return this.clock.now() >= this.deadlineMs;',
        replace: 'return this.clock.now() < 0;',
      },
      {
        file: 'core/hold.ts',
        find: 'Math.max(0, this.deadlineMs - this.clock.now())',
        replace: 'this.grant.claim.ttlMs',
      },
    ],
  },
  {
    name: 'no clean-up after a time-out',
    patches: [
      {
        file: 'core/debts.ts',
        find: 'if (this.closed) return;\n    const debt',
        replace: 'return;\n    const debt',
      },
    ],
  },
  { name: 'no re-check after the wait', flaws: { wire: 'listens after the try' } },
  {
    name: 'renewal not settled before release',
    patches: [
      {
        file: 'core/releaser.ts',
        find: 'if (hold.renewal) void hold.renewal',
        replace: 'if (hold.loss) void hold.renewal?',
      },
    ],
    flaws: { server: 'renew revives' },
  },
  {
    name: 'release error masks the result',
    patches: [
      {
        file: 'core/locks.ts',
        find: 'await lease[Symbol.asyncDispose]();',
        replace: 'await lease.release();',
      },
    ],
  },
  {
    name: 'unknown taken for a denial',
    patches: [
      {
        file: 'core/contender.ts',
        find: "if (failure.certainty === 'unknown') this.uncertain = true;",
        replace: '',
      },
    ],
  },
  {
    name: 'a lock that comes with a message is believed in for its whole ttl',
    patches: [
      {
        file: 'core/hold.ts',
        find: 'this.firstLeaseMs = grant.leaseMs ?? Infinity;',
        replace: 'this.firstLeaseMs = Infinity;',
      },
    ],
  },
  {
    name: 'a lock taken over by a message without a look at its lease',
    patches: [
      {
        file: 'backends/waiting-place.ts',
        find: 'if (!handedOver || handedOver.aliveUntil !== stood?.aliveUntil) return undefined;',
        replace: 'if (!handedOver || !stood) return undefined;',
      },
    ],
  },
  {
    name: 'what was in flight at an abort is forgotten',
    patches: [
      {
        file: 'core/contender.ts',
        find: '} else if (this.inFlight || this.uncertain || this.place) {',
        replace: '} else if (this.uncertain) {',
      },
    ],
  },
];

/** What looks like a mutant and is none: the core makes up for it, so nothing may be found. */
export const HARMLESS: readonly Mutant[] = [
  { name: 'a server whose renewals revive', flaws: { server: 'renew revives' } },
];

/** Takes effect for what is loaded from here on. */
export async function plant(name: string): Promise<Flaws> {
  const mutant = [...MUTANTS, ...HARMLESS].find((candidate) => candidate.name === name);
  if (!mutant) throw new Error(`There is no mutant "${name}".`);
  if (mutant.patches) plantPatches(mutant.patches);
  return mutant.flaws ?? {};
}
