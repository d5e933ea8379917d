/** A timer that was set on a {@link Clock}. Clearing it twice, or after it fired, is harmless. */
export interface Timer {
  clear(): void;
}

/**
 * Where time comes from. Everything of ours that waits or compares times goes through one of these,
 * so that a test drives hours in microseconds.
 */
export interface Clock {
  /** Milliseconds from an arbitrary origin, with fractions; it never goes back. */
  now(): number;
  /**
   * Calls `callback` once, `delayMs` from now (at once, but never synchronously, when not positive).
   * A `background` timer does not keep the process alive.
   */
  setTimer(callback: () => void, delayMs: number, background?: boolean): Timer;
}

/** Node turns longer delays into 1 ms; a longer wait is made of several. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

class SystemTimer implements Timer {
  private handle!: NodeJS.Timeout;

  constructor(
    private readonly callback: () => void,
    delayMs: number,
    private readonly background: boolean,
  ) {
    this.arm(delayMs);
  }

  clear(): void {
    clearTimeout(this.handle);
  }

  private arm(delayMs: number): void {
    if (delayMs > LONGEST_DELAY_MS) {
      this.handle = setTimeout(() => this.arm(delayMs - LONGEST_DELAY_MS), LONGEST_DELAY_MS);
    } else {
      this.handle = setTimeout(this.callback, Math.max(0, Math.ceil(delayMs)));
    }
    if (this.background) this.handle.unref();
  }
}

/**
 * The machine's clock: the larger of what the monotonic clock and the wall clock say has passed since start.
 * The monotonic clock stands still while a machine is suspended, so alone it would let a lease outlive the
 * server's; the wall clock can be set back, so alone it would do the same. Taking the larger one errs only
 * towards giving a lease up too early.
 */
export class SystemClock implements Clock {
  private readonly wallOriginMs = Date.now();
  private readonly monotonicOriginMs = performance.now();
  private latestMs = 0;

  now(): number {
    const elapsedMs = Math.max(performance.now() - this.monotonicOriginMs, Date.now() - this.wallOriginMs);
    if (elapsedMs > this.latestMs) this.latestMs = elapsedMs;
    return this.latestMs;
  }

  setTimer(callback: () => void, delayMs: number, background = false): Timer {
    return new SystemTimer(callback, delayMs, background);
  }
}
