import { plantPatches, type Patch } from '../patching.js';

/** A bug that a lock library may have, planted into the actors to see that the matrix finds it. */
export interface Mutant {
  readonly name: string;
  /** Those that find it fastest; the first is played in CI. */
  readonly cells: readonly [string, ...string[]];
  readonly patches: readonly Patch[];
}

const SCRIPTS = 'backends/redis/scripts.generated.ts';

/** Those of the positive controls that need real servers, processes or a network, and some more. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: 'release without compare',
    cells: ['9R'],
    patches: [
      {
        file: SCRIPTS,
        find: "mine: `local value = call('GET', key)\nlocal mine = value and string.sub(value, 1, #owner + 1) == owner .. '|'",
        replace: "mine: `local value = call('GET', key)\nlocal mine = value",
      },
    ],
  },
  {
    name: 'no validity check',
    cells: ['3R', '2R', '3M'],
    patches: [
      { file: 'core/keeper.ts', find: 'nowMs >= hold.deadlineMs', replace: 'nowMs < 0' },
      {
        file: 'core/hold.ts',
        find: 'return this.clock.now() >= this.deadlineMs;',
        replace: 'return this.clock.now() < 0;',
      },
    ],
  },
  {
    name: 'deadline from the reply',
    cells: ['5R', '5C'],
    patches: [
      { file: 'core/keeper.ts', find: 'hold.confirm(sentAtMs);', replace: 'hold.confirm(this.clock.now());' },
    ],
  },
  {
    name: 'no clean-up after a time-out',
    cells: ['6R'],
    patches: [
      {
        file: 'core/debts.ts',
        find: 'if (this.closed) return;\n    const debt',
        replace: 'return;\n    const debt',
      },
    ],
  },
  {
    name: 'a claim that does not know its owner',
    cells: ['9R', '9C'],
    patches: [
      {
        file: SCRIPTS,
        find: "elseif string.sub(value, 1, #owner + 1) == owner .. '|' then\ncall('SET', key, owner",
        replace: "elseif false then\ncall('SET', key, owner",
      },
    ],
  },
  {
    name: 'hints only',
    cells: ['11R', '1R'],
    patches: [
      { file: 'core/contender.ts', find: 'Math.min(this.pollMs(), expiresInMs + 1)', replace: '1e9' },
    ],
  },
  {
    name: 'no hints',
    cells: ['4R', '25R'],
    patches: [
      {
        file: 'core/contender.ts',
        find: 'place.onHint(() => this.attempt());',
        replace: 'place.onHint(() => undefined);',
      },
    ],
  },
  {
    name: 'release error masks the result',
    cells: ['6R'],
    patches: [
      {
        file: 'core/locks.ts',
        find: 'await lease[Symbol.asyncDispose]();',
        replace: 'await lease.release();',
      },
    ],
  },
  {
    name: 'wall-clock deadline',
    cells: ['21R'],
    patches: [
      {
        file: 'core/clock.ts',
        find: 'const monotonicMs = performance.now();\n    const leadMs',
        replace: 'if (this) return Date.now();\n    const monotonicMs = performance.now();\n    const leadMs',
      },
    ],
  },
  {
    name: 'a fence that forgets the last one',
    cells: ['21R'],
    patches: [
      { file: SCRIPTS, find: 'if last and (#last ~= #fence', replace: 'if false and (#last ~= #fence' },
    ],
  },
  {
    name: 'stale cached script',
    cells: ['14C'],
    patches: [
      {
        file: 'backends/redis/redis-connection.ts',
        find: 'if (!isMissingScript(failure)) throw',
        replace: 'if (failure) throw',
      },
    ],
  },
  {
    name: 'who stops waiting keeps the place',
    cells: ['4R', '4C'],
    patches: [
      {
        file: 'core/contender.ts',
        find: '} else if (this.inFlight || this.uncertain || this.place) {',
        replace: '} else if (this.uncertain) {',
      },
    ],
  },
  {
    name: 'a lock taken over by a message without a look at its lease',
    cells: ['27R'],
    patches: [
      {
        file: 'backends/waiting-place.ts',
        find: 'if (!handedOver || handedOver.aliveUntil !== stood?.aliveUntil) return undefined;',
        replace: 'if (!handedOver || !stood) return undefined;',
      },
    ],
  },
  {
    name: 'a loss that is not told',
    cells: ['5R'],
    patches: [{ file: 'core/hold.ts', find: "this.state = 'lost';", replace: 'if (reason) return true;' }],
  },
];

/** Takes effect for what is loaded from here on. */
export function plant(name: string): void {
  const mutant = MUTANTS.find((candidate) => candidate.name === name);
  if (!mutant) throw new Error(`There is no mutant "${name}".`);
  plantPatches(mutant.patches);
}
