/** The first tick of a schedule after a time; both in ms since 1970. Ticks are whole seconds. */
export type NextTick = (afterMs: number) => number;

/** Ticks are at least so far apart. */
const GRAIN_MS = 1_000;
const MOST_STEPS = 10;

/**
 * The latest tick in the last `lookBackMs` before `nowMs`, `nowMs` included.
 *
 * It is _the latest that is not in the future_, not the nearest: a timer never fires before its time (`cron` sees to
 * that), it only lags. A run that lags behind by 0.6 s in a job of each second would take the nearest tick for the next
 * one, and then that one would be missing.
 *
 * Looks back further and further until it finds a tick, and bisects from there: some ten questions for any pattern.
 */
export function latestTick(next: NextTick, nowMs: number, lookBackMs: number): number | undefined {
  for (let backMs = GRAIN_MS; ; backMs *= 2) {
    // the first tick after a time is never that time itself, and the ms of it are cut off
    const tickMs = next(nowMs - Math.min(backMs, lookBackMs) - 1);
    if (tickMs <= nowMs) {
      const latestMs = lastBetween(next, tickMs, nowMs);
      return nowMs - latestMs <= lookBackMs ? latestMs : undefined;
    }
    if (backMs >= lookBackMs) return undefined;
  }
}

/** @param knownMs a tick */
function lastBetween(next: NextTick, knownMs: number, nowMs: number): number {
  let tickMs = knownMs;
  let noneAfterMs = nowMs;
  while (noneAfterMs - tickMs >= GRAIN_MS) {
    const middleMs = (tickMs + noneAfterMs) / 2;
    const laterMs = next(middleMs);
    if (laterMs <= noneAfterMs && laterMs > tickMs) tickMs = laterMs;
    else noneAfterMs = middleMs;
  }
  // where clocks are set back, the first tick after a time may be one before it, and only the ticks know each other
  for (let step = 0; step < MOST_STEPS; step++) {
    const laterMs = next(tickMs);
    if (laterMs > nowMs || laterMs <= tickMs) break;
    tickMs = laterMs;
  }
  return tickMs;
}
