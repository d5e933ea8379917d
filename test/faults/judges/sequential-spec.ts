import type { Event } from './history.js';
import { areCompatible, EXCLUSIVE, type Share } from './share.js';

/** What a lock does when one operation comes after the other. States are immutable. */
export interface SequentialSpec<S> {
  readonly initial: S;
  /** The state after it; undefined when it could not have happened in this state. */
  step(state: S, event: Event): S | undefined;
  /** Equal for equal states. */
  nameOf(state: S): string;
}

/** One owner at a time, who alone can release. */
export const ownerAware: SequentialSpec<string> = {
  initial: '',
  step(holder, { f, owner }) {
    if (f === 'acquire') return holder === '' ? owner : undefined;
    return holder === owner ? '' : undefined;
  },
  nameOf: (holder) => holder,
};

interface Entered {
  readonly owner: string;
  readonly count: number;
}

/** Its owner may enter again, up to `max` times in all. */
export function reentrant(max: number): SequentialSpec<Entered> {
  const free: Entered = { owner: '', count: 0 };
  return {
    initial: free,
    step(state, { f, owner }) {
      const { count } = state;
      if (f === 'acquire') {
        return count < max && (count === 0 || state.owner === owner)
          ? { owner, count: count + 1 }
          : undefined;
      }
      if (count === 0 || state.owner !== owner) return undefined;
      return count === 1 || f === 'expire' ? free : { owner, count: count - 1 };
    },
    nameOf: ({ owner, count }) => `${count} ${owner}`,
  };
}

interface Fenced {
  readonly owner: string;
  readonly highest: bigint;
}

/** One owner at a time, and each fence above all before. */
export const fenced: SequentialSpec<Fenced> = {
  initial: { owner: '', highest: -1n },
  step({ owner: holder, highest }, { f, owner, fence }) {
    if (f !== 'acquire') return holder === owner ? { owner: '', highest } : undefined;
    if (holder !== '' || (fence !== undefined && fence <= highest)) return undefined;
    return { owner, highest: fence ?? highest };
  },
  nameOf: ({ owner, highest }) => `${highest} ${owner}`,
};

type Holders = ReadonlyMap<string, Share>;

/** Whatever may hold a key together: see `areCompatible`. */
function together(shareOf: (event: Event) => Share): SequentialSpec<Holders> {
  return {
    initial: new Map(),
    step(holders, event) {
      const next = new Map(holders);
      if (event.f !== 'acquire') return next.delete(event.owner) ? next : undefined;
      if (holders.has(event.owner)) return undefined;
      next.set(event.owner, shareOf(event));
      return areCompatible([...next.values()]) ? next : undefined;
    },
    nameOf: (holders) => [...holders.keys()].sort().join(' '),
  };
}

/** At most `permits` at a time; what is not said to take more takes one. */
export function semaphore(permits: number): SequentialSpec<Holders> {
  return together(({ share }) => ({ mode: 'permits', take: share?.take ?? 1, of: permits }));
}

/** Many readers (`shared`), or one writer. */
export const readWrite: SequentialSpec<Holders> = together(({ share }) => share ?? EXCLUSIVE);
