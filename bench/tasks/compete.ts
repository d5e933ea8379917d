import { setTimeout as sleep } from 'node:timers/promises';
import { commandsSent } from '../command-count.js';
import { monotonicMs } from '../monotonic.js';
import { collectGarbage } from '../garbage.js';
import { instanceOf } from './instances.js';

/** The last to get it have to wait for the next time they ask. */
const GRACE_MS = 2_000;

export interface CompeteTerms {
  readonly contestant: string;
  readonly key: string;
  /** On the monotonic clock. */
  readonly startAtMs: number;
  readonly forMs: number;
}

export interface Competition {
  readonly acquisitions: number;
  readonly calls: number;
  /** Whether nobody waits any more. */
  readonly settled: boolean;
}

/** Acquires, releases and wants it again at once, for so long. */
export async function compete({ contestant, key, startAtMs, forMs }: CompeteTerms): Promise<Competition> {
  const locks = await instanceOf(contestant);
  collectGarbage();
  await sleep(Math.max(0, startAtMs - monotonicMs()));
  const callsBefore = commandsSent();
  const endAtMs = startAtMs + forMs;
  let acquisitions = 0;
  const run = async (): Promise<boolean> => {
    while (monotonicMs() < endAtMs) {
      const release = await locks.acquire(key);
      if (monotonicMs() < endAtMs) acquisitions++;
      await release();
    }
    return true;
  };
  const limit = new AbortController();
  const settled = await Promise.race([run(), sleep(forMs + GRACE_MS, false, { signal: limit.signal })]);
  limit.abort();
  return { acquisitions, calls: commandsSent() - callsBefore, settled };
}
