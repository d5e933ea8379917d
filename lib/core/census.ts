import type { LockMode } from '../backends/lock-backend.js';

/** How many locks of one mode and pattern this process holds, and how many of its callers wait for such. */
export interface Census {
  /** How they are held, or are to be. */
  readonly mode: LockMode;
  /** What their keys have in common; undefined for those without one. */
  readonly pattern: string | undefined;
  /** Locks that this process holds; one that several leases share by re-entry counts once. */
  readonly held: number;
  /** Callers of this process that wait. */
  readonly waiting: number;
}

/** Somebody who holds a lock or waits for one. */
interface Party {
  readonly pattern: string | undefined;
  readonly mode: LockMode;
}

/** Counts those who are there now; whoever is not there does not appear. */
export function censusOf(holders: readonly Party[], waiters: readonly Party[]): Census[] {
  const counts = new Map<string, { -readonly [K in keyof Census]: Census[K] }>();
  const add = ({ mode, pattern }: Party, what: 'held' | 'waiting'): void => {
    const label = `${mode} ${pattern ?? ''}`;
    const count = counts.get(label) ?? { mode, pattern, held: 0, waiting: 0 };
    count[what]++;
    counts.set(label, count);
  };
  for (const holder of holders) add(holder, 'held');
  for (const waiter of waiters) add(waiter, 'waiting');
  return [...counts.values()];
}
