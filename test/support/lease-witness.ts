import type { Lease } from '../../lib/core/lease.js';
import { fallenFences, overlapsOf, type Belief } from '../faults/judges/belief.js';
import { EXCLUSIVE, type Share } from '../faults/judges/share.js';

interface Seen extends Belief {
  readonly lease: Lease;
  untilMs: number;
}

/**
 * Sees who believes to hold what: from the acquisition until the release is called or the loss is told. What happens in
 * one moment of a clock that stands still has an order too, so its time is the number of what it has seen.
 */
export class LeaseWitness {
  /** How many acquisitions it saw; a history without any proves nothing. */
  seen = 0;
  private moment = 0;
  private readonly beliefs: Seen[] = [];

  /** What may never be, in sentences. */
  get violations(): string[] {
    const doubles = overlapsOf(this.beliefs).map(({ key, who }) => `${key}: ${who.join(' together with ')}`);
    return [...doubles, ...fallenFences(this.beliefs)];
  }

  /** From here on the lease is believed in. */
  hold(lease: Lease, share: Share = EXCLUSIVE): void {
    this.seen++;
    if (!lease.held) return;
    const fromMs = ++this.moment;
    const who = `${share.mode} ${share.take}/${share.of}`;
    for (const [key, fence] of lease.fences)
      this.beliefs.push({ lease, key, who, fence, share, fromMs, untilMs: Infinity });
    lease.signal.addEventListener('abort', () => this.end(lease), { once: true });
  }

  /** To be called right before the release. */
  end(lease: Lease): void {
    this.moment++;
    for (const belief of this.beliefs)
      if (belief.lease === lease) belief.untilMs = Math.min(belief.untilMs, this.moment);
  }
}
