import { areCompatible, type Share } from './share.js';

/**
 * A stretch of time in which somebody believed to hold a key: from the return of the acquisition until the release
 * was called, the loss was told, the local deadline passed or the holder died, whichever was first.
 */
export interface Belief {
  readonly key: string;
  readonly who: string;
  /** Those who share one grant by re-entry, or by a handle, have one fence. */
  readonly fence: bigint;
  readonly share: Share;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** Beliefs that contradict each other. */
export interface Overlap {
  readonly key: string;
  readonly who: readonly string[];
  readonly atMs: number;
  readonly us: number;
}

/** The longest stretch in which beliefs contradict each other; undefined when none ever do. */
export function worstOverlap(beliefs: readonly Belief[]): Overlap | undefined {
  return overlapsOf(beliefs)[0];
}

/** All stretches in which beliefs contradict each other, the longest first. */
export function overlapsOf(beliefs: readonly Belief[]): Overlap[] {
  const found: Overlap[] = [];
  for (const ofOneKey of inOrder(beliefs.filter(({ fromMs, untilMs }) => fromMs < untilMs)))
    found.push(...overlaps(ofOneKey));
  return found.sort((one, other) => other.us - one.us);
}

/** Where somebody came later and had no higher fence, in sentences. */
export function fallenFences(beliefs: readonly Belief[]): string[] {
  const found: string[] = [];
  for (const ofOneKey of inOrder(beliefs)) {
    let newest: Belief | undefined;
    for (const belief of ofOneKey) {
      const { key, fence, who, share, fromMs } = belief;
      // those who hold it together may hear of it in any order
      const together = newest?.share.mode === share.mode && share.mode !== 'exclusive';
      const isAnother = newest?.who !== who && fromMs >= (newest?.untilMs ?? Infinity);
      if (newest && !together && (fence < newest.fence || (fence === newest.fence && isAnother)))
        found.push(`${key}: fence ${fence} after ${newest.fence}`);
      if (!newest || fence > newest.fence) newest = belief;
    }
  }
  return found;
}

/** By key, in the order in which they began. */
function inOrder(beliefs: readonly Belief[]): Belief[][] {
  const keys = new Map<string, Belief[]>();
  for (const belief of beliefs) {
    const others = keys.get(belief.key);
    if (others) others.push(belief);
    else keys.set(belief.key, [belief]);
  }
  return [...keys.values()].map((ofOneKey) => ofOneKey.sort((one, other) => one.fromMs - other.fromMs));
}

function* overlaps(beliefs: readonly Belief[]): Generator<Overlap> {
  let present: Belief[] = [];
  for (const belief of beliefs) {
    present = present.filter(({ untilMs }) => untilMs > belief.fromMs);
    const others = onePerFence(present.filter(({ fence }) => fence !== belief.fence));
    if (!areCompatible([belief, ...others].map(({ share }) => share))) {
      yield {
        key: belief.key,
        who: [...others, belief].map(({ who, fence }) => `${who} (fence ${fence})`),
        atMs: belief.fromMs,
        us: Math.round((endOfConflict(belief, others) - belief.fromMs) * 1_000),
      };
    }
    present.push(belief);
  }
}

/** When enough of the others have gone. */
function endOfConflict(belief: Belief, others: readonly Belief[]): number {
  const leaving = [...others].sort((one, other) => one.untilMs - other.untilMs);
  for (let gone = 1; gone <= leaving.length; gone++) {
    const left = [belief, ...leaving.slice(gone)].map(({ share }) => share);
    if (areCompatible(left)) return Math.min(belief.untilMs, leaving[gone - 1]?.untilMs ?? belief.untilMs);
  }
  return belief.untilMs;
}

function onePerFence(beliefs: readonly Belief[]): Belief[] {
  const latest = new Map<bigint, Belief>();
  for (const belief of beliefs) {
    const other = latest.get(belief.fence);
    if (!other || other.untilMs < belief.untilMs) latest.set(belief.fence, belief);
  }
  return [...latest.values()];
}
