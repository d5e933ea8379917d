import type { Visit } from '../shop/seat-store.js';

/** One replica got one lock. */
export interface Turn {
  readonly replica: string;
  readonly seatId: string;
  readonly fence: bigint;
  readonly waitedMs: number;
}

/**
 * How often a seat's lock went from one holder to the next, and how long that took: from the last visit of one
 * to the store to the first visit of the next, so that no replica judges itself.
 */
export function handOffsOf(
  turns: readonly Turn[],
  visits: readonly Visit[],
): { readonly count: number; readonly crossing: number; readonly gapsMs: readonly number[] } {
  const first = new Map<string, Visit>();
  const last = new Map<string, Visit>();
  for (const visit of visits) {
    if (!first.has(nameOf(visit))) first.set(nameOf(visit), visit);
    last.set(nameOf(visit), visit);
  }
  const gapsMs: number[] = [];
  let count = 0;
  let crossing = 0;

  // The fence gives the order in which they had the lock, whatever their clocks say.
  const ordered = turns.toSorted((a, b) => a.seatId.localeCompare(b.seatId) || Number(a.fence - b.fence));
  for (const [index, turn] of ordered.entries()) {
    const before = ordered[index - 1];
    if (before?.seatId !== turn.seatId) continue;
    count++;
    if (before.replica !== turn.replica) crossing++;
    const left = last.get(nameOf(before));
    const entered = first.get(nameOf(turn));
    if (!left || !entered) continue;
    const gapMs = entered.atMs - left.atMs;
    // Else it paid after the visit, or nobody was in the line.
    if (left.sold && turn.waitedMs > gapMs) gapsMs.push(gapMs);
  }
  return { count, crossing, gapsMs };
}

const nameOf = ({ seatId, fence }: Turn | Visit): string => `${seatId} ${fence}`;
