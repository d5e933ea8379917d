import type { Replica } from './stage.js';
import { BUYERS, ROWS, type Order } from './shop.js';

/** What came of one request. */
export type Outcome = 'sold' | 'soldOut' | 'busy' | 'declined' | 'failed';

export interface Answer {
  readonly outcome: Outcome;
  readonly status: number;
  readonly message: string;
}

const OUTCOMES: ReadonlyMap<number, Outcome> = new Map([
  [201, 'sold'],
  [402, 'declined'],
  [409, 'busy'],
  [410, 'soldOut'],
]);

/** One request to one replica. */
export async function buy(replica: Replica, seatId: string, order: Order): Promise<Answer> {
  try {
    const response = await fetch(`${replica.url}/seats/${seatId}/buy`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(order),
    });
    const { status } = response;
    const { message = '' } = (await response.json()) as { message?: string };
    return { outcome: OUTCOMES.get(status) ?? 'failed', status, message };
  } catch (error) {
    return { outcome: 'failed', status: 0, message: `${replica.name} broke off: ${String(error)}` };
  }
}

/** What happens at the doors. */
export interface Doors {
  opened(row: number): void;
  answered(answer: Answer, row: number): void;
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

  /** Asks for one seat after the other, each time at another replica, until one is sold to this buyer. */
  async function shop(number: number, row: number, seats: readonly string[]): Promise<void> {
    // Every third card is declined, and then it is the turn of the next in the line.
    const card = { takesMs: 60 + (number % 7) * 15, declined: number % 3 === 0 };
    for (const [attempt, seatId] of wishes(number, seats).entries()) {
      const replica = replicas[(number + attempt) % replicas.length];
      if (!replica) return;
      const answer = await buy(replica, seatId, { buyer: `buyer-${number}`, card });
      doors.answered(answer, row);
      if (answer.outcome === 'sold' || answer.outcome === 'declined') return;
    }
  }
}

/** Every second buyer wants the first seat of the row before all others; nobody has more than three wishes. */
function wishes(number: number, seats: readonly string[]): readonly string[] {
  const favourite = number % 2 === 0 ? 0 : number;
  const indices = [favourite, number, number * 3 + 1].map((index) => index % seats.length);
  return [...new Set(indices)].flatMap((index) => seats[index] ?? []);
}
