/** What the replicas, the buyers and the judge agree on. */

export const ROWS: readonly (readonly string[])[] = ['A', 'B', 'C', 'D'].map((row) =>
  ['1', '2', '3', '4', '5'].map((number) => row + number),
);
/** The seats kept back for the second act begin with that. */
export const VIP = 'VIP';
export const BUYERS = 300;

/** Short, so that nobody has to wait long for the seat of a replica that died. */
export const TTL_MS = 2_000;

export interface Order {
  readonly buyer: string;
  readonly card: { readonly takesMs: number; readonly declined?: boolean };
}

export interface Ticket {
  readonly seatId: string;
  readonly buyer: string;
}
