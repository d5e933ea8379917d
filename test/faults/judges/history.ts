import type { Share } from './share.js';

/** What one can do to a lock. `expire` is done by the server, or not at all. */
export type Verb = 'acquire' | 'release' | 'expire';

/** What its caller knows of it. */
export type Result = 'ok' | 'failed' | 'unknown';

/** One operation of a history. Times are of one clock, and exact. */
export interface Operation {
  readonly f: Verb;
  readonly owner: string;
  readonly result: Result;
  /** When it was called; of `expire`: when it may have happened at the earliest. */
  readonly inv: number;
  /** When it returned. */
  readonly ret: number;
  readonly fence?: bigint;
  /** Default: exclusive. */
  readonly share?: Share;
}

/** An operation that took place, or one that perhaps did. */
export interface Event extends Operation {
  readonly isOptional: boolean;
}

/** The failed ones are dropped; the unknown ones, and those of the server, may take place at any time, or never. */
export function eventsOf(history: readonly Operation[]): Event[] {
  const events: Event[] = [];
  for (const operation of history) {
    if (operation.result === 'failed') continue;
    const isOptional = operation.f === 'expire' || operation.result === 'unknown';
    events.push({ ...operation, isOptional, ret: isOptional ? Infinity : operation.ret });
  }
  return events;
}

/**
 * The end that a lease may come to by itself: the server counts its ttl from the last renewal that succeeded, which
 * it cannot have done before that was sent.
 */
export function expiryOf(owner: string, lastRenewalSentMs: number, ttlMs: number): Operation {
  return { f: 'expire', owner, result: 'unknown', inv: lastRenewalSentMs + ttlMs, ret: Infinity };
}
