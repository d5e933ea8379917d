/** For how long somebody took a lock for their own. */
export interface Belief {
  readonly key: string;
  readonly fence: bigint;
  readonly sinceMs: number;
  /** Infinity while it goes on. */
  untilMs: number;
}

/** Two who took the same lock for their own at the same time. */
export interface Overlap {
  readonly key: string;
  readonly ms: number;
}

/** A history of beliefs in exclusive locks, all of them by one clock. */
export class Beliefs {
  private readonly all: Belief[] = [];

  begin(key: string, fence: bigint, sinceMs: number): Belief {
    const belief = { key, fence, sinceMs, untilMs: Infinity };
    this.all.push(belief);
    return belief;
  }

  get size(): number {
    return this.all.length;
  }

  /** The same lock in two hands, the longest first. */
  overlaps(): Overlap[] {
    const found: Overlap[] = [];
    for (const history of this.histories()) {
      let latest: Belief | undefined;
      for (const belief of history) {
        const ms = Math.min(latest?.untilMs ?? -Infinity, belief.untilMs) - belief.sinceMs;
        if (ms > 0) found.push({ key: belief.key, ms });
        if (!latest || belief.untilMs > latest.untilMs) latest = belief;
      }
    }
    return found.sort((a, b) => b.ms - a.ms);
  }

  /** Where a later holder had no higher fence, in sentences. */
  fallenFences(): string[] {
    return this.histories().flatMap((history) =>
      history.flatMap(({ key, fence }, at) => {
        const before = history[at - 1];
        return before && fence <= before.fence ? [`${key}: fence ${fence} after ${before.fence}`] : [];
      }),
    );
  }

  private histories(): Belief[][] {
    const byKey = new Map<string, Belief[]>();
    for (const belief of this.all) byKey.set(belief.key, [...(byKey.get(belief.key) ?? []), belief]);
    return [...byKey.values()].map((history) => history.sort((a, b) => a.sinceMs - b.sinceMs));
  }
}
