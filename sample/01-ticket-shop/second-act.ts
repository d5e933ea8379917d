import { filter, firstValueFrom } from 'rxjs';
import { buy, type Answer } from './buyers.js';
import type { Diary } from './diary.js';
import type { GuardedSeatStore, Visit } from './seat-store.js';
import { TTL_MS } from './shop.js';
import type { Accident, Replica } from './stage.js';

/** How much later than the ttl the next one may get in before we say that the lock was not freed in time. */
const PATIENCE_MS = 1_000;

/**
 * Something befalls a replica while it holds the lock of a seat. It cannot give the lock back, so the server
 * does, at its ttl; and should the old holder come back, the store refuses its write by the fence.
 *
 * @returns what went wrong, if anything
 */
export async function secondAct(
  { victim, what, strike, recover }: Accident,
  seatId: string,
  next: Replica,
  store: GuardedSeatStore,
): Promise<string | undefined> {
  console.log(`\n${victim.name} ${what} while it sells the seat ${seatId}`);
  const firstVisit = visit(store, seatId);
  // Still busy with the card when somebody else has got the lock.
  const late = buy(victim, seatId, { buyer: 'buyer-before', card: { takesMs: TTL_MS + 500 } });
  const before = await Promise.race([firstVisit, late.then(refuse)]);

  strike();
  const struckAtMs = performance.now();
  const say = (atMs: number, line: string): void =>
    console.log(`  ${seconds(atMs - struckAtMs).padStart(7)}  ${line}`);
  say(struckAtMs, `${victim.name} holds the lock, with fence ${before.fence}`);

  const secondVisit = visit(store, seatId);
  await buyUntilSold(next, seatId);
  const after = await secondVisit;
  say(after.atMs, `the ttl of ${seconds(TTL_MS)} is over: ${next.name} is in, with fence ${after.fence}`);

  if (recover) {
    recover();
    const told = (await late, await wasTold(victim, seatId));
    const write = store.visits.findLast((visit) => visit.seatId === seatId && !visit.accepted);
    if (write) {
      say(write.atMs, `${victim.name} writes all the same: fence ${write.fence} is too old, and refused`);
    }
    if (!write) return `${victim.name} came back, but the store refused none of its writes`;
    if (!told) return `${victim.name} came back, and its lease did not say that it is lost`;
  }
  return verdict(store, before, after);
}

function verdict(store: GuardedSeatStore, before: Visit, after: Visit): string | undefined {
  const sold = store.timesSold(before.seatId);
  const freeAfterMs = after.atMs - before.atMs;
  if (sold !== 1) return `the seat ${before.seatId} was sold ${sold} times`;
  if ((after.fence ?? 0n) <= (before.fence ?? 0n)) return 'the fence of the next holder is not higher';
  if (freeAfterMs < TTL_MS * 0.9) return `the next one was let in after ${seconds(freeAfterMs)} already`;
  if (freeAfterMs > TTL_MS + PATIENCE_MS) return `the seat was free after ${seconds(freeAfterMs)} only`;
  return undefined;
}

/** Who is told 409 asks again, and stands in the line again. */
async function buyUntilSold(replica: Replica, seatId: string): Promise<void> {
  for (;;) {
    const answer = await buy(replica, seatId, { buyer: 'buyer-after', card: { takesMs: 50 } });
    if (answer.outcome === 'sold') return;
    if (answer.outcome !== 'busy') refuse(answer);
  }
}

/** A lease notices by itself, also when the lock server cannot be reached; see `lease.signal`. */
async function wasTold(replica: Replica, seatId: string): Promise<boolean> {
  const { losses } = (await (await fetch(`${replica.url}/diary`)).json()) as Diary;
  return losses.some(({ key }) => key === `seat:${seatId}`);
}

function visit(store: GuardedSeatStore, seatId: string): Promise<Visit> {
  return firstValueFrom(store.visits$.pipe(filter((visit) => visit.seatId === seatId)));
}

function refuse({ message }: Answer): never {
  throw new Error(message);
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(2)} s`;
