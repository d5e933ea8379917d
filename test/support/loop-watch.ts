import type { Clock } from '../../lib/core/clock.js';

const BEAT_MS = 5;

/** Notes when the event loop of this process is blocked, or starved by others on the machine. */
export class LoopWatch {
  private readonly delays: { readonly atMs: number; readonly ms: number }[] = [];
  private readonly timer: NodeJS.Timeout;
  private lastMs: number;

  constructor(clock: Clock) {
    this.lastMs = clock.now();
    this.timer = setInterval(() => {
      const nowMs = clock.now();
      const ms = nowMs - this.lastMs - BEAT_MS;
      if (ms > BEAT_MS) this.delays.push({ atMs: nowMs, ms });
      this.lastMs = nowMs;
    }, BEAT_MS);
  }

  /** By how much timers were late, at the most. */
  worstMs(): number {
    return Math.max(BEAT_MS, ...this.delays.map(({ ms }) => ms));
  }

  /** How much of the time around these two nothing could run. */
  stolenMs(fromMs: number, toMs: number): number {
    const within = this.delays.filter(({ atMs, ms }) => atMs >= fromMs && atMs - ms <= toMs);
    // whoever asks may run before the beat that is late
    const overdueMs = Math.max(0, toMs - this.lastMs - BEAT_MS);
    return within.reduce((sum, { ms }) => sum + ms, BEAT_MS + overdueMs);
  }

  stop(): void {
    clearInterval(this.timer);
  }
}
