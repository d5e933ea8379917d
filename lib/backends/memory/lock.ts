import type { Busy, Claim, HolderSnapshot, LockSnapshot } from '../lock-backend.js';
import { Company } from './company.js';
import type { Ear } from './ear.js';

/** How often a waiting place is retried without a hint. */
export const POLL_MS = 300;
/** A place that was silent for that long is dropped from the line: three polls, and a little. */
const SILENCE_LIMIT_MS = 1_000;

export interface Holder {
  readonly claim: Claim;
  readonly fence: bigint;
  expiresAtMs: number;
  /** How long it keeps its share of the key closed when its lease runs out. */
  readonly delayMs: number;
  /** Released, and only kept busy for its `lingerMs`: nobody can renew or release it any more. */
  lingering: boolean;
}

export interface Waiter {
  readonly claim: Claim;
  readonly ear: Ear;
  lastSeenMs: number;
}

/**
 * One key: who holds it and who stands in its line. Two rules:
 *
 * - A claim enters when the holders, everybody who stands before it in the line, and itself could all hold the
 *   key together. So nobody is overtaken who would have to wait longer for it, readers at the head come in
 *   together, and a writer or a large request for permits at the head is not starved.
 * - Whoever comes next is told as soon as that may have become true for them.
 */
export class Lock {
  /** By owner, in the order of their grants. */
  readonly holders = new Map<string, Holder>();
  /** By owner, first come first. */
  readonly line = new Map<string, Waiter>();
  private company = new Company();
  /** Nothing expires and nobody falls silent before that; a lower bound. */
  private dueAtMs = Infinity;

  constructor(readonly key: string) {}

  get idle(): boolean {
    return this.holders.size === 0 && this.line.size === 0;
  }

  /** The lease of that owner, unless it is over. */
  heldBy(owner: string, nowMs: number): Holder | undefined {
    const holder = this.holders.get(owner);
    return holder && !holder.lingering && nowMs < holder.expiresAtMs ? holder : undefined;
  }

  admits(claim: Claim): boolean {
    if (this.line.size === 0) return this.company.admits(claim);
    const company = this.company.copy();
    for (const [owner, waiter] of this.line) {
      if (owner === claim.owner) break;
      if (!company.join(waiter.claim)) return false;
    }
    return company.admits(claim);
  }

  enter(claim: Claim, fence: bigint, delayMs: number, nowMs: number): Holder {
    this.line.get(claim.owner)?.ear.close();
    this.line.delete(claim.owner);
    const holder: Holder = { claim, fence, expiresAtMs: 0, delayMs, lingering: false };
    this.holders.set(claim.owner, holder);
    this.company.add(claim);
    this.keepUntil(holder, nowMs + claim.ttlMs);
    return holder;
  }

  keepUntil(holder: Holder, expiresAtMs: number): void {
    holder.expiresAtMs = expiresAtMs;
    this.dueAtMs = Math.min(this.dueAtMs, goneAtMs(holder));
  }

  /** Takes a place at the end of the line, or shows a sign of life in the one that it has. */
  standInLine(claim: Claim, ear: Ear, nowMs: number): Waiter {
    const known = this.line.get(claim.owner);
    if (known) {
      known.lastSeenMs = nowMs;
      known.ear.hush();
      return known;
    }
    ear.hush();
    const waiter: Waiter = { claim, ear, lastSeenMs: nowMs };
    this.line.set(claim.owner, waiter);
    this.dueAtMs = Math.min(this.dueAtMs, nowMs + SILENCE_LIMIT_MS);
    return waiter;
  }

  /** A sign of life of a waiter; true when it is not in the line, or could hold the key beside its holders. */
  stay(claim: Claim, nowMs: number): boolean {
    const waiter = this.line.get(claim.owner);
    if (!waiter) return true;
    waiter.lastSeenMs = nowMs;
    return this.company.admits(claim);
  }

  leave(holders: Iterable<Holder>): void {
    for (const holder of holders) this.holders.delete(holder.claim.owner);
    this.changed();
  }

  leaveLine(owner: string): void {
    const waiter = this.line.get(owner);
    if (!waiter) return;
    waiter.ear.close();
    this.line.delete(owner);
    this.wakeNext();
  }

  /** Drops the leases that have run out and the places that show no sign of life. */
  purge(nowMs: number): void {
    // Exactly at its end a lease is over: the holder's own margin lies before it.
    if (nowMs < this.dueAtMs) return;
    let dropped = false;
    this.dueAtMs = Infinity;
    for (const [owner, holder] of this.holders) {
      const atMs = goneAtMs(holder);
      if (atMs <= nowMs) dropped = this.holders.delete(owner);
      else this.dueAtMs = Math.min(this.dueAtMs, atMs);
    }
    for (const [owner, { lastSeenMs }] of this.line) {
      if (lastSeenMs + SILENCE_LIMIT_MS <= nowMs) dropped = this.line.delete(owner);
      else this.dueAtMs = Math.min(this.dueAtMs, lastSeenMs + SILENCE_LIMIT_MS);
    }
    if (dropped) this.changed();
  }

  /** What stands in the way of a claim that was not admitted. */
  busy(claim: Claim, nowMs: number): Busy {
    const ahead = this.ahead(claim.owner);
    const own = this.holders.get(claim.owner);
    if (own) return { expiresInMs: goneAtMs(own) - nowMs, ahead };
    if (this.company.admits(claim)) return { expiresInMs: this.headSkippedInMs(nowMs), ahead };
    const first = [...this.holders.values()].find((holder) => holder.lingering || nowMs < holder.expiresAtMs);
    const ends = [...this.holders.values()].map(goneAtMs);
    // Permits may be enough when the first comes back; anything else waits for the last.
    const endMs = this.company.mode === claim.mode ? Math.min(...ends) : Math.max(...ends);
    return { ...(first && { holder: first.claim.owner }), expiresInMs: endMs - nowMs, ahead };
  }

  snapshot(nowMs: number): LockSnapshot | null {
    const [first] = this.line.values();
    const mode = this.company.mode ?? first?.claim.mode;
    if (mode === undefined) return null;
    return {
      key: this.key,
      mode,
      of: this.company.mode === undefined ? (first?.claim.of ?? 0) : this.company.of,
      holders: [...this.holders.values()].map((holder) => snapshotOf(holder, nowMs)),
      waiting: this.line.size,
    };
  }

  private changed(): void {
    this.company = Company.of([...this.holders.values()].map((holder) => holder.claim));
    this.wakeNext();
  }

  private wakeNext(): void {
    const company = this.company.copy();
    for (const waiter of this.line.values()) {
      if (!company.join(waiter.claim)) return;
      waiter.ear.ring();
    }
  }

  private ahead(owner: string): number {
    let ahead = 0;
    for (const other of this.line.keys()) {
      if (other === owner) break;
      ahead++;
    }
    return ahead;
  }

  private headSkippedInMs(nowMs: number): number {
    const [head] = this.line.values();
    return head ? head.lastSeenMs + SILENCE_LIMIT_MS - nowMs : 0;
  }
}

/** When the key, or the holder's share of it, is free. */
function goneAtMs({ expiresAtMs, delayMs, lingering }: Holder): number {
  return lingering ? expiresAtMs : expiresAtMs + delayMs;
}

function snapshotOf(holder: Holder, nowMs: number): HolderSnapshot {
  const { claim, fence, expiresAtMs, lingering } = holder;
  const snapshot = { owner: claim.owner, take: claim.take, fence };
  if (lingering) return { ...snapshot, expiresInMs: expiresAtMs - nowMs, state: 'lingering' };
  if (nowMs < expiresAtMs) return { ...snapshot, expiresInMs: expiresAtMs - nowMs };
  return { ...snapshot, expiresInMs: goneAtMs(holder) - nowMs, state: 'delayed' };
}
