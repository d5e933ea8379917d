import { setTimeout as sleep } from 'node:timers/promises';
import { commandsSent } from '../command-count.js';
import type { Release } from '../contestants/contestant.js';
import { collectGarbage } from '../garbage.js';
import { monotonicMs } from '../monotonic.js';
import { instanceOf } from './instances.js';

/** Until what is left to do after a hand-off has been done. */
const AFTERWARDS_MS = 5;

export interface HandOffTerms {
  readonly contestant: string;
  readonly key: string;
}

export interface HandOverTerms extends HandOffTerms {
  /** So long from now. */
  readonly afterMs: number;
}

const held = new Map<string, Release>();
const waiting = new Map<string, Promise<number>>();

/** Before a turn of many. */
export async function ready({ contestant }: { readonly contestant: string }): Promise<void> {
  await instanceOf(contestant);
  collectGarbage();
}

/** Acquires a free key. */
export async function take({ contestant, key }: HandOffTerms): Promise<void> {
  const locks = await instanceOf(contestant);
  held.set(key, await locks.acquire(key));
}

/** Begins to wait for a key that somebody has. */
export async function stand({ contestant, key }: HandOffTerms): Promise<void> {
  const locks = await instanceOf(contestant);
  const had = async (): Promise<number> => {
    const release = await locks.acquire(key);
    const hadAtMs = monotonicMs();
    await release();
    return hadAtMs;
  };
  waiting.set(key, had());
}

/** Gives the key back; when that was called, on the monotonic clock. */
export async function handOver({ key, afterMs }: HandOverTerms): Promise<number> {
  await sleep(afterMs);
  const release = held.get(key);
  held.delete(key);
  const calledAtMs = monotonicMs();
  await release?.();
  // nothing of ours, nor the answer, may be in the way of those who are timed
  await sleep(AFTERWARDS_MS);
  return calledAtMs;
}

/** When the one who stands for the key had it, on the monotonic clock. */
export async function receive({ key }: HandOffTerms): Promise<number> {
  const hadAtMs = await waiting.get(key);
  waiting.delete(key);
  return hadAtMs ?? NaN;
}

/** Holder and waiter in one process; how long it took, in ms. */
export async function handOff(terms: HandOverTerms): Promise<number> {
  await take(terms);
  await stand(terms);
  const calledAtMs = await handOver(terms);
  return (await receive(terms)) - calledAtMs;
}

/** How many commands this process has sent so far. */
export function sent(_terms: object): Promise<number> {
  return Promise.resolve(commandsSent());
}
