import { setTimeout as sleep } from 'node:timers/promises';
import type { Replica } from './stage.js';
import type { Order } from '../shop/order.js';
import { BUYERS, ROWS } from './hall.js';

const MOST_ATTEMPTS = 20;
const RETRY_AFTER_MS = 200;

/** What came of one request. */
export type Outcome = 'sold' | 'soldOut' | 'busy' | 'declined' | 'unavailable';

const OUTCOMES: ReadonlyMap<number, Outcome> = new Map([
  [201, 'sold'],
  [402, 'declined'],
  [409, 'busy'],
  [410, 'soldOut'],
  [503, 'unavailable'],
]);

/**
 * One request to one replica.
 *
 * @throws when it is answered by anything but a yes or a refusal
 */
export async function buy(replica: Replica, seatId: string, order: Order): Promise<Outcome> {
  const response = await fetch(`${replica.url}/seats/${seatId}/buy`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(order),
  }).catch((error: unknown) => {
    throw new Error(`${replica.name} does not answer`, { cause: error });
  });
  const answer = await response.text();
  const outcome = OUTCOMES.get(response.status);
  if (!outcome) throw new Error(`${replica.name} answered ${response.status}: ${answer}`);
  return outcome;
}

/** What happens at the doors. */
export interface Doors {
  opened(row: number): void;
  answered(outcome: Outcome, row: number): void;
  closed(row: number): void;
}

/** The doors open row by row, and behind each stands a crowd. */
export async function rushes(replicas: readonly Replica[], doors: Doors): Promise<void> {
  const crowd = BUYERS / ROWS.length;
  for (const [row, seats] of ROWS.entries()) {
    doors.opened(row);
    const buyers = Array.from({ length: crowd }, (_, index) => shop(row * crowd + index, row, seats));
    await Promise.all(buyers);
    doors.closed(row);
  }

  /** Asks for one seat after the other, each time at another replica, and comes back when it was busy. */
  async function shop(number: number, row: number, seats: readonly string[]): Promise<void> {
    const buyer = `buyer-${number}`;
    // Two of three cards are declined, and then it is the turn of the next in the line.
    const card = { takesMs: 50 + (number % 7) * 20, declined: number % 3 !== 2 };
    const wanted = wishes(number, seats);
    for (let attempt = 0; wanted.length > 0 && attempt < MOST_ATTEMPTS; attempt++) {
      const seatId = wanted.shift();
      const replica = replicas[(number + attempt) % replicas.length];
      if (seatId === undefined || replica === undefined) return;
      const outcome = await buy(replica, seatId, { buyer, card });
      doors.answered(outcome, row);
      if (outcome === 'sold' || outcome === 'declined') return;
      if (outcome === 'soldOut') continue;
      wanted.push(seatId);
      await sleep(RETRY_AFTER_MS);
    }
  }
}

/** Every second buyer wants the first seat of the row most; all have a second wish. */
function wishes(number: number, seats: readonly string[]): string[] {
  const indices = [number % 2 === 0 ? 0 : number, number * 3 + 1].map((index) => index % seats.length);
  return [...new Set(indices)].flatMap((index) => seats[index] ?? []);
}
