import { Observable, type Subscriber } from 'rxjs';
import type { LockSnapshot } from '../backends/lock-backend.js';
import type { Clock, Timer } from '../core/clock.js';
import type { LeaderInfo } from '../core/errors.js';
import { leaderKey, replicaOf } from './leadership-settings.js';

/** Who leads a group. */
export interface Leader extends LeaderInfo {
  /** The group that it leads. */
  readonly group: string;
}

/** Nobody asks the server more often than this. */
const SHORTEST_PAUSE_MS = 100;

/**
 * What one replica knows of who leads a group: by its own elections at once, and by asking the server now and then
 * while somebody wants to know.
 */
export class LeaderWatch {
  /** The leader, or null for none, one after the other; begins with the present one. Never fails. */
  readonly changes: Observable<Leader | null>;
  private readonly subscribers = new Set<Subscriber<Leader | null>>();
  /** Those of them who have heard of nobody yet. */
  private readonly unaware = new Set<Subscriber<Leader | null>>();
  private known: { readonly leader: Leader | null; readonly atMs: number } | undefined;
  private asking: Promise<Leader | null> | undefined;
  /** Rises with what happens here, so that an answer which is older than that is left aside. */
  private happened = 0;
  private timer: Timer | undefined;
  private readonly pauseMs: number;

  constructor(
    private readonly group: string,
    private readonly clock: Clock,
    private readonly inspect: (key: string) => Promise<LockSnapshot | null>,
    retryMs: number,
  ) {
    this.pauseMs = Math.max(SHORTEST_PAUSE_MS, retryMs);
    this.changes = new Observable((subscriber) => {
      const isFirst = this.subscribers.size === 0;
      this.subscribers.add(subscriber);
      if (this.known && (!isFirst || this.isFresh)) subscriber.next(this.known.leader);
      else this.unaware.add(subscriber);
      if (isFirst) this.look();
      return () => {
        this.subscribers.delete(subscriber);
        this.unaware.delete(subscriber);
        if (this.subscribers.size === 0) this.timer?.clear();
      };
    });
  }

  /** Who leads, by the server's word. */
  async ask(): Promise<Leader | null> {
    return (this.asking ??= this.askOnce());
  }

  /** Who leads, by a word that is not too old; undefined when there is none. */
  async guess(): Promise<Leader | null | undefined> {
    if (this.isFresh) return this.known?.leader;
    return this.ask().catch(() => undefined);
  }

  /** What happened here: this replica leads, or does not any more. */
  learn(leader: Leader | null): void {
    this.happened++;
    this.note(leader);
    if (!leader && this.subscribers.size > 0) this.look();
  }

  close(): void {
    this.timer?.clear();
    for (const subscriber of this.subscribers) subscriber.complete();
  }

  private async askOnce(): Promise<Leader | null> {
    const { happened } = this;
    try {
      const snapshot = await this.inspect(leaderKey(this.group));
      const [holder] = snapshot?.holders ?? [];
      const leader = holder ? { group: this.group, ...replicaOf(holder.owner), term: holder.fence } : null;
      if (happened === this.happened) this.note(leader);
      return leader;
    } finally {
      this.asking = undefined;
    }
  }

  private note(leader: Leader | null): void {
    const before = this.known;
    this.known = { leader, atMs: this.clock.now() };
    const isNews = !before || before.leader?.term !== leader?.term;
    for (const subscriber of this.subscribers) {
      if (this.unaware.delete(subscriber) || isNews) subscriber.next(leader);
    }
  }

  private get isFresh(): boolean {
    return this.known !== undefined && this.clock.now() - this.known.atMs < this.pauseMs;
  }

  private look(): void {
    this.timer?.clear();
    // a server that does not answer says nothing about who leads
    void this.ask()
      .catch(() => undefined)
      .then(() => {
        this.timer?.clear();
        if (this.subscribers.size === 0) return;
        this.timer = this.clock.setTimer(() => this.look(), this.pauseMs, true);
      });
  }
}
