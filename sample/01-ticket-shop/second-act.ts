import { filter, firstValueFrom, map } from 'rxjs';
import { buy } from './buyers.js';
import type { Diary } from './diary.js';
import type { GuardedSeatStore, Visit } from './seat-store.js';
import { TTL_MS, VIP } from './shop.js';
import type { Replica, Stage } from './stage.js';

/** How much later than the ttl the next one may get in before we say that the lock was not freed in time. */
const PATIENCE_MS = 1_000;

/**
 * A replica ends while it holds a lock. Nobody gives the lock back, so the server does, at its ttl; and should
 * the old holder live on, the store refuses its write by the fence.
 *
 * @returns what went wrong, if anything
 */
export async function secondAct(
  stage: Stage,
  store: GuardedSeatStore,
  say: (line: string) => void,
): Promise<string | undefined> {
  const [next, , victim] = stage.replicas;
  const firstVisit = nextVisit(store, 'read');
  const late = buy(victim, VIP, { buyer: 'buyer-before', card: { takesMs: TTL_MS + 500 } });
  const before = await firstVisit;
  const since = (visit: Visit): number => visit.atMs - killedAtMs;

  victim.kill();
  const killedAtMs = performance.now();
  say(`${seconds(0)}  ${victim.name} holds the seat by fence ${fence(before)}, and is ${stage.killing}`);

  const secondVisit = nextVisit(store, 'read');
  const tries = await buyUntilSold(next, 'buyer-after');
  const after = await secondVisit;
  say(
    `${seconds(since(after))}  free at its ttl (${seconds(TTL_MS).trim()}): ${next.name} sells it by fence ${fence(after)}` +
      (tries > 1 ? `, at try ${tries}` : ''),
  );
  if (stage.haunted) {
    for (const line of await haunting(victim, await late)) say(line);
  }
  return verdict(stage, store, before, after);

  async function haunting(ghost: Replica, answer: { message: string }): Promise<string[]> {
    const diary = (await (await fetch(`${ghost.url}/diary`)).json()) as Diary;
    const told = diary.losses.some((loss) => loss.key === `seat:${VIP}`);
    const write = store.visits.findLast((visit) => visit.seatId === VIP && !visit.accepted);
    return [
      ...(told ? [`         ${ghost.name} was told by its lease that the lock is lost`] : []),
      write
        ? `${seconds(since(write))}  ${ghost.name} writes all the same; fence ${fence(write)} is refused`
        : `         ${ghost.name} did not write any more: ${answer.message}`,
    ];
  }
}

function verdict(stage: Stage, store: GuardedSeatStore, before: Visit, after: Visit): string | undefined {
  const sold = store.timesSold(VIP);
  const freeAfterMs = after.atMs - before.atMs;
  const refused = store.visits.some((visit) => visit.seatId === VIP && !visit.accepted);
  if (sold !== 1) return `the seat ${VIP} was sold ${sold} times`;
  if ((after.fence ?? 0n) <= (before.fence ?? 0n)) return 'the fence did not rise';
  if (freeAfterMs < TTL_MS * 0.9)
    return `the next one was let in after ${seconds(freeAfterMs).trim()} already`;
  if (freeAfterMs > TTL_MS + PATIENCE_MS)
    return `the seat was not free before ${seconds(freeAfterMs).trim()}`;
  if (stage.haunted && !refused) return 'the late write was not refused';
  return undefined;
}

/** Who is told 409 asks again, and stands in the line again. */
async function buyUntilSold(replica: Replica, buyer: string): Promise<number> {
  for (let tries = 1; ; tries++) {
    const { outcome, message } = await buy(replica, VIP, { buyer, card: { takesMs: 50 } });
    if (outcome === 'sold') return tries;
    if (outcome !== 'busy') throw new Error(`${replica.name} did not sell the seat ${VIP}: ${message}`);
  }
}

function nextVisit(store: GuardedSeatStore, does: Visit['does']): Promise<Visit> {
  return firstValueFrom(store.visits$.pipe(filter((visit) => visit.seatId === VIP && visit.does === does)));
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(2)} s`.padStart(7);
const fence = (visit: Visit): string => String(visit.fence);
