import { FenceGuard } from '../../../lib/core/fence-guard.js';
import type { Host } from './host.js';
import type { Random } from './random.js';
import type { VirtualTime } from './virtual-time.js';

/**
 * What the locks guard: a counter for each key, at the end of another wire, that is read and written back one higher
 * by whoever shows a fence that is not below the highest seen.
 */
export class Resource {
  accepted = 0;
  private readonly guard = new FenceGuard();
  private readonly counters = new Map<string, number>();
  private readonly writes = new Map<string, number>();

  constructor(
    private readonly time: VirtualTime,
    private readonly random: Random,
  ) {}

  /** Undefined when it was refused. */
  read(from: Host, key: string, fence: bigint): Promise<number | undefined> {
    return this.ask(from, () => (this.guard.accepts(key, fence) ? (this.counters.get(key) ?? 0) : undefined));
  }

  write(from: Host, key: string, fence: bigint, value: number): Promise<boolean> {
    return this.ask(from, () => {
      if (!this.guard.accepts(key, fence)) return false;
      this.accepted++;
      this.counters.set(key, value);
      this.writes.set(key, (this.writes.get(key) ?? 0) + 1);
      return true;
    });
  }

  /** A sentence for each key of which a write was lost: two at a time were let in. */
  get violations(): string[] {
    return [...this.writes]
      .filter(([key, writes]) => this.counters.get(key) !== writes)
      .map(([key, writes]) => `I1: ${key} counts ${this.counters.get(key)} after ${writes} accepted writes`);
  }

  private ask<T>(from: Host, step: () => T): Promise<T> {
    return new Promise((resolve) => {
      // whoever is stopped at that moment sends when it goes on
      const delayMs = this.random.between(0.1, 8) + Math.max(0, from.thawsAtMs - this.time.nowMs);
      this.time.after(delayMs, () => {
        const answer = step();
        this.time.after(this.random.between(0.1, 8), () => from.receive(() => resolve(answer)));
      });
    });
  }
}
