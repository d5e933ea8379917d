import { filter, firstValueFrom } from 'rxjs';
import { setTimeout as sleep } from 'node:timers/promises';
import { buy } from './buyers.js';
import type { Diary } from '../shop/diary.controller.js';
import type { GuardedSeatStore, Visit } from '../shop/seat-store.js';
import { TTL_MS } from '../shop/seats.service.js';
import type { Accident, Replica } from './stage.js';

/** The victim is in the midst of the payment then. */
const STRIKE_AFTER_MS = 100;
/** How much later than at its ttl a lock may come free before we say that it was too late. */
const PATIENCE_MS = 1_000;

/**
 * Something befalls a replica while it holds the lock of a seat. It cannot give the lock back, so the server
 * does, at its ttl; and when the old holder comes back, the store refuses its write by the fence.
 *
 * @returns what went wrong, if anything
 */
export async function secondAct(
  { victim, what, strike, recover }: Accident,
  seatId: string,
  next: Replica,
  store: GuardedSeatStore,
): Promise<string | undefined> {
  const firstVisit = nextVisit(store, seatId);
  // The card is still being charged when somebody else has got the lock. How the request ends is of no interest.
  const late = buy(victim, seatId, { buyer: 'buyer-before', card: { takesMs: TTL_MS + 500 } }).catch(String);
  const tooEarly = late.then((end): never => {
    throw new Error(`${victim.name} did not get to sell ${seatId}: ${end}`);
  });
  const before = await Promise.race([firstVisit, tooEarly]);
  const say = (atMs: number, line: string): void =>
    console.log(`  ${seconds(atMs - before.atMs).padStart(7)}  ${seatId}  ${line}`);
  say(before.atMs, `${victim.name} holds the lock, with fence ${before.fence}`);

  await sleep(STRIKE_AFTER_MS);
  strike();
  say(performance.now(), `${victim.name} ${what}`);

  const secondVisit = nextVisit(store, seatId);
  await buyUntilSold(next, seatId);
  const after = await secondVisit;
  say(after.atMs, `the ttl (${seconds(TTL_MS)}) is over: ${next.name} is in, with fence ${after.fence}`);
  if (!recover) return verdict(store, before, after);

  recover();
  await late;
  const write = store.visits.findLast((visit) => visit.seatId === seatId && !visit.accepted);
  if (!write)
    return `the late write of ${victim.name} was not refused: ${seatId} was sold ${store.timesSold(seatId)} times`;
  say(write.atMs, `${victim.name} goes on, and its write is refused: fence ${write.fence}`);
  if (!(await wasTold(victim, seatId))) return `${victim.name} was not told that it lost the lock`;
  return verdict(store, before, after);
}

function verdict(store: GuardedSeatStore, before: Visit, after: Visit): string | undefined {
  const { seatId } = before;
  const sold = store.timesSold(seatId);
  const freeAfterMs = after.atMs - before.atMs;
  if (sold !== 1) return `the seat ${seatId} was sold ${sold} times`;
  if ((after.fence ?? 0n) <= (before.fence ?? 0n)) return `the fence of ${seatId} did not rise`;
  if (freeAfterMs < TTL_MS * 0.9) return `${seatId} had a new holder after ${seconds(freeAfterMs)} already`;
  if (freeAfterMs > TTL_MS + PATIENCE_MS) return `${seatId} was not free before ${seconds(freeAfterMs)}`;
  return undefined;
}

/** Who is told that it is busy asks again, and stands in the line again. */
async function buyUntilSold(replica: Replica, seatId: string): Promise<void> {
  const order = { buyer: 'buyer-after', card: { takesMs: 50 } };
  const endMs = performance.now() + TTL_MS + PATIENCE_MS;
  while ((await buy(replica, seatId, order)) !== 'sold') {
    if (performance.now() > endMs) throw new Error(`${seatId} is not free yet, long after its ttl`);
  }
}

/** A lease notices a loss by itself, also when the lock server cannot be reached; see `lease.signal`. */
async function wasTold(replica: Replica, seatId: string): Promise<boolean> {
  const { losses } = (await (await fetch(`${replica.url}/diary`)).json()) as Diary;
  return losses.some(({ key }) => key === `seat:${seatId}`);
}

function nextVisit(store: GuardedSeatStore, seatId: string): Promise<Visit> {
  return firstValueFrom(store.visits$.pipe(filter((visit) => visit.seatId === seatId)));
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(2)} s`;
