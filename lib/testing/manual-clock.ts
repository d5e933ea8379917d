import type { Clock, Timer } from '../core/clock.js';

/** Taken before a test can replace it by a fake one. */
const immediately = setImmediate;
/** Turns of the event loop that everything gets to settle in. */
const SETTLING_TURNS = 3;

interface PendingTimer extends Timer {
  readonly callback: () => void;
  readonly dueAtMs: number;
}

/**
 * A clock that stands still until a test moves it, so that a lease of a day expires in a microsecond.
 *
 * Timers fire in the order of their time, one at a time; between two of them everything that waits for promises
 * gets to run, as it would in real time.
 *
 * @example
 * const clock = new ManualClock();
 * const locks = LockModule.forRoot({ clock, backend: memory() });
 * await clock.advance(30_000);
 */
export class ManualClock implements Clock {
  /** In the order in which they were set. */
  private readonly timers = new Set<PendingTimer>();
  private nowMs: number;

  /** @param startMs what the clock reads at first; default 0 */
  constructor(startMs = 0) {
    this.nowMs = startMs;
  }

  now(): number {
    return this.nowMs;
  }

  /** How many timers are set and have neither fired nor been cleared; zero when nothing was left behind. */
  get pendingTimers(): number {
    return this.timers.size;
  }

  /** A delay that is not positive fires by itself in the next turn of the event loop; others wait for the clock. */
  setTimer(callback: () => void, delayMs: number): Timer {
    const timer: PendingTimer = {
      callback,
      dueAtMs: this.nowMs + Math.max(0, delayMs),
      clear: () => void this.timers.delete(timer),
    };
    this.timers.add(timer);
    if (!(delayMs > 0)) immediately(() => this.fire(timer));
    return timer;
  }

  /**
   * Moves the time on by `ms`, firing what comes due on the way, and returns when all has settled.
   *
   * @throws RangeError when `ms` is negative or no number; whatever a timer's callback throws
   */
  async advance(ms: number): Promise<void> {
    await this.jumpTo(this.nowMs + check(ms));
  }

  /**
   * Like {@link advance}, to a point in time.
   *
   * @throws RangeError when that lies in the past; whatever a timer's callback throws
   */
  async jumpTo(ms: number): Promise<void> {
    check(ms - this.nowMs);
    await this.settle();
    for (let next = this.nextDue(ms); next; next = this.nextDue(ms)) {
      this.nowMs = Math.max(this.nowMs, next.dueAtMs);
      this.fire(next);
      await this.settle();
    }
    this.nowMs = Math.max(this.nowMs, ms);
  }

  /**
   * Moves the time on without firing anything, as if the event loop had been blocked for that long. What came due
   * meanwhile fires at the next {@link advance}, of 0 for example.
   *
   * @throws RangeError when `ms` is negative or no number
   */
  skip(ms: number): void {
    this.nowMs += check(ms);
  }

  /** Lets everything run that waits for promises, immediates and timers without delay. The time stands still. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < SETTLING_TURNS; turn++) {
      await new Promise<void>((resolve) => {
        immediately(resolve);
      });
    }
  }

  private nextDue(untilMs: number): PendingTimer | undefined {
    let next: PendingTimer | undefined;
    for (const timer of this.timers) {
      if (timer.dueAtMs <= untilMs && (!next || timer.dueAtMs < next.dueAtMs)) next = timer;
    }
    return next;
  }

  private fire(timer: PendingTimer): void {
    if (this.timers.delete(timer)) timer.callback();
  }
}

function check(ms: number): number {
  if (ms >= 0 && ms < Infinity) return ms;
  throw new RangeError(`A clock cannot be moved by ${ms} ms; give a number of milliseconds from 0 on.`);
}
