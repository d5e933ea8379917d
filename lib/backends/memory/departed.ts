import type { Claim } from '../lock-backend.js';
import { Recent } from './recent.js';

/** A claim that took longer than that on its way cannot be in flight any more. */
const MARK_MS = 60_000;
const MOST_ABANDONED = 50_000;
const MOST_RELEASED = 1_000;

/** The owners who gave up or gave back a key of late: what to answer, should something of theirs arrive once more. */
export class Departed {
  private readonly abandoned = new Recent(MARK_MS, MOST_ABANDONED);
  private readonly released = new Recent(MARK_MS, MOST_RELEASED);

  get size(): number {
    return this.abandoned.size + this.released.size;
  }

  markAbandoned(claim: Claim, nowMs: number): void {
    this.abandoned.add(nameOf(claim), nowMs);
  }

  hasAbandoned(claim: Claim, nowMs: number): boolean {
    return this.abandoned.size > 0 && this.abandoned.has(nameOf(claim), nowMs);
  }

  markReleased(claim: Claim, nowMs: number): void {
    this.released.add(nameOf(claim), nowMs);
  }

  hasReleased(claim: Claim, nowMs: number): boolean {
    return this.released.has(nameOf(claim), nowMs);
  }
}

/** An owner may have claims on several keys; neither keys nor owners have spaces. */
function nameOf({ key, owner }: Claim): string {
  return `${key} ${owner}`;
}
