import type { Clock, Timer } from './clock.js';
import type { LockEvents } from './events.js';
import type { Calls } from './outcome.js';

const SIDE_BY_SIDE = 32;
/** Of those that failed before, so many are enough to find out whether the server still fails. */
const PROBES = 4;
const MOST_DEBTS = 10_000;
const FIRST_BACKOFF_MS = 50;
const LONGEST_BACKOFF_MS = 2_000;

interface Debt {
  readonly key: string;
  /** After that the server has forgotten it by itself. */
  readonly untilMs: number;
  readonly pay: () => Promise<unknown>;
  /** The round in which it was tried last. */
  round: number;
}

/**
 * What may have been left behind on the server: an acquisition or a release whose outcome is unknown. Each
 * is cleaned up in the background until that succeeds, or until the ttl has done it.
 *
 * A new debt is tried at once, whatever else fails: another shard, or another key, may be well. What fails is
 * tried again in rounds with growing pauses between them, each debt once a round.
 */
export class Debts {
  /** To be tried; those that failed in this round are behind the others. */
  private readonly owed = new Set<Debt>();
  private readonly inFlight = new Set<Debt>();
  private round = 0;
  private backoffMs = 0;
  private timer: Timer | undefined;
  private closed = false;
  private readonly settled: (() => void)[] = [];

  constructor(
    private readonly clock: Clock,
    private readonly calls: Calls,
    private readonly events: LockEvents,
  ) {}

  get size(): number {
    return this.owed.size + this.inFlight.size;
  }

  owe(key: string, lastsMs: number, pay: () => Promise<unknown>): void {
    if (this.closed) return;
    const debt: Debt = { key, untilMs: this.clock.now() + lastsMs, pay, round: this.round };
    if (this.inFlight.size < SIDE_BY_SIDE) return void this.pay(debt);
    debt.round = -1;
    this.queue(debt);
  }

  /** Resolves when nothing is owed any more, or after `limitMs`; what is left then is left to the ttl. */
  async drain(limitMs: number): Promise<void> {
    if (this.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = this.clock.setTimer(resolve, limitMs);
        this.settled.push(() => {
          timer.clear();
          resolve();
        });
        this.startRound(SIDE_BY_SIDE);
      });
    }
    this.closed = true;
    this.timer?.clear();
    this.owed.clear();
  }

  private startRound(most: number): void {
    this.timer?.clear();
    this.timer = undefined;
    this.round++;
    const nowMs = this.clock.now();
    for (const debt of this.owed) if (nowMs >= debt.untilMs) this.forgive(debt);
    this.payMore(most);
  }

  /** Tries those whose turn in this round has not been, up to so many side by side. */
  private payMore(most: number): void {
    for (const debt of this.owed) {
      if (debt.round === this.round || this.inFlight.size >= most) break;
      this.owed.delete(debt);
      debt.round = this.round;
      void this.pay(debt);
    }
    this.tellIfSettled();
  }

  private async pay(debt: Debt): Promise<void> {
    this.inFlight.add(debt);
    const outcome = await this.calls.outcome(debt.pay);
    this.inFlight.delete(debt);
    if (outcome.ok) {
      this.backoffMs = 0;
      this.events.alert({ type: 'cleanup-paid', key: debt.key });
      this.payMore(SIDE_BY_SIDE);
    } else {
      this.events.alert({ type: 'cleanup-owed', key: debt.key, error: outcome.error });
      if (this.closed) return;
      this.queue(debt);
      this.pause();
    }
  }

  private queue(debt: Debt): void {
    if (this.owed.size >= MOST_DEBTS) {
      for (const oldest of this.owed) {
        this.forgive(oldest);
        break;
      }
    }
    this.owed.add(debt);
  }

  /** Until the next round, longer after each that did not pay anything. */
  private pause(): void {
    if (this.timer) return;
    this.backoffMs = Math.min(LONGEST_BACKOFF_MS, Math.max(FIRST_BACKOFF_MS, this.backoffMs * 2));
    this.timer = this.clock.setTimer(() => this.startRound(PROBES), this.backoffMs, true);
  }

  private forgive(debt: Debt): void {
    this.owed.delete(debt);
    this.events.alert({ type: 'cleanup-expired', key: debt.key });
  }

  private tellIfSettled(): void {
    if (this.size > 0) return;
    this.backoffMs = 0;
    for (const tell of this.settled.splice(0)) tell();
  }
}
