import type { Operation } from './history.js';

/** One hold of an exclusive key, of which the fence is known. */
export interface FencedHold {
  readonly owner: string;
  readonly fence: bigint;
  /** Of the acquisition. */
  readonly inv: number;
  readonly ret: number;
  /** When it may have ended at the earliest: by a release that was called, or by the server. */
  readonly endsAtMs: number;
}

/** Two holds that cannot both have been. */
export interface FencedViolation {
  readonly before: FencedHold;
  readonly after: FencedHold;
}

/**
 * Exact and fast: fences give the order of the holds, so each is put as early as it may be, and has to fit in
 * before its return. The first that does not is the answer.
 */
export function fencedViolation(holds: readonly FencedHold[]): FencedViolation | undefined {
  const inOrder = [...holds].sort((one, other) => (one.fence < other.fence ? -1 : 1));
  let endMs = -Infinity;
  let before: FencedHold | undefined;
  for (const hold of inOrder) {
    const atMs = Math.max(hold.inv, endMs);
    const isTwice = before !== undefined && before.fence === hold.fence;
    if (before && (isTwice || atMs > hold.ret)) return { before, after: hold };
    endMs = Math.max(atMs, hold.endsAtMs);
    before = hold;
  }
  return undefined;
}

/** The holds of a history; a release that is known to have freed the key rules out that it had expired before. */
export function fencedHolds(history: readonly Operation[]): FencedHold[] {
  const acquisitions = history.filter(({ f, result }) => f === 'acquire' && result === 'ok');
  return acquisitions.map(({ owner, fence = 0n, inv, ret }) => {
    const ends = history.filter((operation) => operation.owner === owner && operation.f !== 'acquire');
    const certain = ends.filter(({ f, result }) => f === 'release' && result === 'ok');
    const possible = ends.filter(({ f, result }) => f === 'expire' || result === 'unknown');
    const decisive = certain.length > 0 ? certain : possible;
    return { owner, fence, inv, ret, endsAtMs: Math.min(...decisive.map((end) => end.inv)) };
  });
}
