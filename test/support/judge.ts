import type { Clock } from '../../lib/core/clock.js';
import type { Lease } from '../../lib/core/lease.js';

/** By what a lease excludes others. */
export interface Share {
  readonly mode: 'exclusive' | 'shared' | 'permits';
  readonly take: number;
  readonly of: number;
}

export const EXCLUSIVE: Share = { mode: 'exclusive', take: 1, of: 1 };

interface Belief {
  readonly lease: Lease;
  readonly share: Share;
  readonly fence: bigint;
  readonly sinceMs: number;
}

/**
 * Watches who believes to hold what: from the acquisition until the release is called or the loss is told. Such
 * beliefs may never contradict each other, and fences may never fall.
 */
export class Judge {
  readonly violations: string[] = [];
  /** How many acquisitions were judged; a history without any proves nothing. */
  judged = 0;
  private readonly beliefs = new Map<string, Set<Belief>>();
  private readonly newest = new Map<string, Belief>();

  /**
   * @param frozen whether event loops are blocked, so that a signal may be late; then a holder may be told when it
   *   asks
   */
  constructor(
    private readonly clock: Clock,
    private readonly frozen = false,
  ) {}

  /** From here on the lease is believed in. */
  hold(lease: Lease, share: Share = EXCLUSIVE): void {
    this.judged++;
    if (!lease.held) return;
    for (const [key, fence] of lease.fences)
      this.enter(key, { lease, share, fence, sinceMs: this.clock.now() });
    lease.signal.addEventListener('abort', () => this.end(lease), { once: true });
  }

  /** To be called right before the release. */
  end(lease: Lease): void {
    for (const beliefs of this.beliefs.values()) {
      for (const belief of beliefs) if (belief.lease === lease) beliefs.delete(belief);
    }
  }

  private enter(key: string, belief: Belief): void {
    const beliefs = this.beliefs.get(key) ?? new Set();
    this.beliefs.set(key, beliefs);
    for (const other of beliefs) {
      if (this.frozen && !other.lease.held) beliefs.delete(other);
    }
    const others = [...beliefs].filter(({ fence }) => fence !== belief.fence);
    if (!compatible(belief, others)) this.blame(key, belief, others);
    const newest = this.newest.get(key);
    // those who hold it together may hear of it in any order
    const together = newest?.share.mode === belief.share.mode && belief.share.mode !== 'exclusive';
    if (newest && belief.fence < newest.fence && !together) {
      this.violations.push(`${key}: fence ${belief.fence} after ${newest.fence}`);
    }
    if (!newest || belief.fence > newest.fence) this.newest.set(key, belief);
    beliefs.add(belief);
  }

  private blame(key: string, belief: Belief, others: readonly Belief[]): void {
    const show = ({ fence, share, sinceMs }: Belief): string =>
      `${share.mode} ${share.take}/${share.of} (fence ${fence}, since ${sinceMs})`;
    this.violations.push(`${key}: ${show(belief)} together with ${others.map(show).join(', ')}`);
  }
}

function compatible(belief: Belief, others: readonly Belief[]): boolean {
  if (others.length === 0) return true;
  const all = [belief, ...others].map(({ share }) => share);
  if (all.some(({ mode }) => mode !== belief.share.mode || mode === 'exclusive')) return false;
  if (belief.share.mode === 'shared') return true;
  const taken = all.reduce((sum, { take }) => sum + take, 0);
  return taken <= Math.min(...all.map(({ of }) => of));
}
