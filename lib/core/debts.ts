import type { Clock, Timer } from './clock.js';
import type { LockEvents } from './events.js';
import type { Calls } from './outcome.js';

const SIDE_BY_SIDE = 32;
const MOST_DEBTS = 10_000;
const FIRST_BACKOFF_MS = 50;
const LONGEST_BACKOFF_MS = 2_000;

interface Debt {
  readonly key: string;
  /** After that the server has forgotten it by itself. */
  readonly untilMs: number;
  readonly pay: () => Promise<unknown>;
}

/**
 * What may have been left behind on the server: an acquisition or a release whose outcome is unknown. Each
 * is cleaned up in the background until that succeeds, or until the ttl has done it.
 */
export class Debts {
  private readonly owed = new Set<Debt>();
  private readonly inFlight = new Set<Debt>();
  private backoffMs = 0;
  private timer: Timer | undefined;
  private readonly settled: (() => void)[] = [];

  constructor(
    private readonly clock: Clock,
    private readonly calls: Calls,
    private readonly events: LockEvents,
  ) {}

  get size(): number {
    return this.owed.size + this.inFlight.size;
  }

  /** Starts paying at once; while the server fails, one attempt each back-off. */
  owe(key: string, lastsMs: number, pay: () => Promise<unknown>): void {
    if (this.owed.size >= MOST_DEBTS) {
      for (const oldest of this.owed) {
        this.forgive(oldest);
        break;
      }
    }
    this.owed.add({ key, untilMs: this.clock.now() + lastsMs, pay });
    if (this.backoffMs === 0) this.payMore();
  }

  /** Resolves when nothing is owed any more, or after `limitMs`. */
  async drain(limitMs: number): Promise<void> {
    if (this.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = this.clock.setTimer(resolve, limitMs);
        this.settled.push(() => {
          timer.clear();
          resolve();
        });
      });
    }
    this.timer?.clear();
    this.owed.clear();
  }

  private payMore(): void {
    this.timer?.clear();
    this.timer = undefined;
    for (const debt of this.owed) {
      if (this.inFlight.size >= SIDE_BY_SIDE) return;
      this.owed.delete(debt);
      if (this.clock.now() >= debt.untilMs) this.forgive(debt);
      else void this.pay(debt);
      // while the server fails, one is enough to find out whether it still does
      if (this.backoffMs > 0) return;
    }
    this.tellIfSettled();
  }

  private async pay(debt: Debt): Promise<void> {
    this.inFlight.add(debt);
    const outcome = await this.calls.outcome(debt.pay);
    this.inFlight.delete(debt);
    if (outcome.ok) {
      this.backoffMs = 0;
      if (this.events.observed) this.events.emit({ type: 'cleanup-paid', key: debt.key });
      this.payMore();
    } else {
      this.owed.add(debt);
      this.backoffMs = Math.min(LONGEST_BACKOFF_MS, Math.max(FIRST_BACKOFF_MS, this.backoffMs * 2));
      this.timer ??= this.clock.setTimer(() => this.payMore(), this.backoffMs, true);
      if (this.events.observed) {
        this.events.emit({ type: 'cleanup-owed', key: debt.key, error: outcome.error });
      }
    }
  }

  private forgive(debt: Debt): void {
    this.owed.delete(debt);
    if (this.events.observed) this.events.emit({ type: 'cleanup-expired', key: debt.key });
  }

  private tellIfSettled(): void {
    if (this.size > 0) return;
    for (const tell of this.settled.splice(0)) tell();
  }
}
