export interface Order {
  readonly buyer: string;
  readonly card: { readonly takesMs: number; readonly declined?: boolean };
}

export interface Ticket {
  readonly seatId: string;
  readonly buyer: string;
}
