import { setTimeout as sleep } from 'node:timers/promises';
import { commandsSent } from '../command-count.js';
import { contestantOf } from '../contestants/index.js';
import type { LockInstance, Release } from '../contestants/contestant.js';
import { collectGarbage } from '../garbage.js';
import { serverUrl } from './instances.js';

/** So many at once; more of them would only wait for each other. */
const AT_ONCE = 100;

export interface HoldTerms {
  readonly contestant: string;
  readonly prefix: string;
  readonly leases: number;
  readonly ttlMs: number;
}

export interface Renewing {
  readonly calls: number;
  readonly cpuMs: number;
}

let locks: LockInstance | undefined;
let held: Release[] = [];

/** Takes so many leases, to be renewed; what each of them takes of the heap, in bytes. */
export async function hold({ contestant, prefix, leases, ttlMs }: HoldTerms): Promise<number> {
  const open = await contestantOf(contestant).load();
  const instance = await open(serverUrl(), ttlMs);
  locks = instance;
  const take = (key: string): Promise<Release> => instance.hold?.(key) ?? instance.acquire(key);
  // what comes with the first one is not theirs
  for (let time = 0; time < AT_ONCE; time++) await (await take(`${prefix}:first`))();
  const before = heapBytes();
  held = await inChunks(leases, (number) => take(`${prefix}:${number}`));
  return (heapBytes() - before) / leases;
}

/** Does nothing else for so long. */
export async function renewFor({ forMs }: { readonly forMs: number }): Promise<Renewing> {
  const callsBefore = commandsSent();
  const cpuBefore = process.cpuUsage();
  await sleep(forMs);
  const { user, system } = process.cpuUsage(cpuBefore);
  return { calls: commandsSent() - callsBefore, cpuMs: (user + system) / 1000 };
}

/** Gives them all back; how many had been lost. */
export async function letGo(_terms: object): Promise<number> {
  const kept = await inChunks(held.length, async (number) => {
    try {
      return (await held[number]?.()) !== false;
    } catch {
      return false;
    }
  });
  held = [];
  await locks?.close();
  return kept.filter((isKept) => !isKept).length;
}

async function inChunks<Result>(times: number, work: (number: number) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (let from = 0; from < times; from += AT_ONCE) {
    const length = Math.min(AT_ONCE, times - from);
    results.push(...(await Promise.all(Array.from({ length }, (_, at) => work(from + at)))));
  }
  return results;
}

function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}
