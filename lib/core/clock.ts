/** A timer that was set on a {@link Clock}. Clearing it twice, or after it fired, is harmless. */
export interface Timer {
  /** It does not fire from here on. */
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

/** The wall clock counts whole milliseconds; only what it gains beyond its grain is time. */
const GRAIN_MS = 5;

/** Read once: it never changes, and each look at it costs more than a look at both clocks. */
const { timeOrigin } = performance;

/** How far the wall clock is ahead of the monotonic one, from the start of the process. */
function leadOfWallMs(monotonicMs: number): number {
  return Date.now() - timeOrigin - monotonicMs;
}

/** Of the process, not of an instance, so that all instances agree. */
const suspension = { totalMs: 0, leadMs: leadOfWallMs(performance.now()) };

/**
 * The machine's clock: the monotonic one, and whatever the wall clock gained on it. The monotonic clock stands
 * still while a machine is suspended, so alone it would let a lease outlive the server's; the wall clock can be
 * set back, so alone it would do the same, and so would the larger of the two after a leap forward that is
 * corrected later. What was gained once is kept, which errs only towards giving a lease up too early.
 */
export class SystemClock implements Clock {
  now(): number {
    const monotonicMs = performance.now();
    const leadMs = leadOfWallMs(monotonicMs);
    const gainedMs = leadMs - suspension.leadMs;
    if (gainedMs > GRAIN_MS) suspension.totalMs += gainedMs;
    if (gainedMs > GRAIN_MS || gainedMs < 0) suspension.leadMs = leadMs;
    return monotonicMs + suspension.totalMs;
  }

  setTimer(callback: () => void, delayMs: number, background = false): Timer {
    return new SystemTimer(callback, delayMs, background);
  }
}

/** The one that is used unless another is given. */
export const systemClock: Clock = new SystemClock();
