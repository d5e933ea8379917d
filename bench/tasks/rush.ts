import { setTimeout as sleep } from 'node:timers/promises';
import { commandsSent } from '../command-count.js';
import { collectGarbage } from '../garbage.js';
import { monotonicMs } from '../monotonic.js';
import { instanceOf } from './instances.js';

export interface RushTerms {
  readonly contestant: string;
  readonly key: string;
  readonly callers: number;
  /** On the monotonic clock; default: at once. */
  readonly startAtMs?: number;
  readonly limitMs: number;
}

export interface Rush {
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly calls: number;
  /** How many callers had their turn within the limit. */
  readonly served: number;
  /** Pairs of callers of whom the later one was served first. */
  readonly inversions: number;
}

/** So many callers want one key at one moment, each of them once. */
export async function rush({ contestant, key, callers, startAtMs = 0, limitMs }: RushTerms): Promise<Rush> {
  const locks = await instanceOf(contestant);
  collectGarbage();
  await sleep(Math.max(0, startAtMs - monotonicMs()));
  const callsBefore = commandsSent();
  const startedAtMs = monotonicMs();
  const served: number[] = [];
  const all = Promise.all(
    Array.from({ length: callers }, async (_, place) => {
      const release = await locks.acquire(key);
      served.push(place);
      await release();
    }),
  );
  const limit = new AbortController();
  await Promise.race([all, sleep(limitMs, undefined, { signal: limit.signal })]);
  const endedAtMs = monotonicMs();
  limit.abort();
  const calls = commandsSent() - callsBefore;
  return { startedAtMs, endedAtMs, calls, served: served.length, inversions: inversionsOf(served) };
}

function inversionsOf(places: readonly number[]): number {
  let inversions = 0;
  places.forEach((place, at) => {
    for (let later = at + 1; later < places.length; later++) {
      if ((places[later] ?? Infinity) < place) inversions++;
    }
  });
  return inversions;
}
