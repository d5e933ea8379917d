import type { Claim } from '../lock-backend.js';

/** A claim that took longer than that on its way cannot be in flight any more. */
const MARK_MS = 60_000;
/** Memory has a limit, whatever happens; the oldest marks go first. */
const MOST_ABANDONED = 100_000;
const MOST_RELEASED = 1_000;

/** The owners who gave up or gave back a key of late: what came of them, should something of theirs arrive once more. */
export class Departed {
  /** Oldest first; until when to remember. */
  private readonly abandoned = new Map<string, number>();
  private readonly released = new Set<string>();

  get size(): number {
    return this.abandoned.size + this.released.size;
  }

  markAbandoned(claim: Claim, nowMs: number): void {
    const name = nameOf(claim);
    this.abandoned.delete(name);
    this.abandoned.set(name, nowMs + MARK_MS);
    this.purge(nowMs);
  }

  hasAbandoned(claim: Claim, nowMs: number): boolean {
    if (this.abandoned.size === 0) return false;
    this.purge(nowMs);
    return this.abandoned.has(nameOf(claim));
  }

  markReleased(claim: Claim): void {
    this.released.add(nameOf(claim));
    if (this.released.size > MOST_RELEASED) this.released.delete(oldest(this.released) ?? '');
  }

  hasReleased(claim: Claim): boolean {
    return this.released.has(nameOf(claim));
  }

  private purge(nowMs: number): void {
    for (const [name, untilMs] of this.abandoned) {
      if (untilMs > nowMs && this.abandoned.size <= MOST_ABANDONED) return;
      this.abandoned.delete(name);
    }
  }
}

/** An owner may have claims on several keys; neither keys nor owners have spaces. */
function nameOf({ key, owner }: Claim): string {
  return `${key} ${owner}`;
}

function oldest(names: ReadonlySet<string>): string | undefined {
  const [first] = names;
  return first;
}
