/**
 * What the clock on this machine's wall shows, in ms since 1970. Schedules go by it, so the tick of a schedule is told
 * by it too, and by nothing else: a lease never is.
 */
export function wallNowMs(): number {
  return Date.now();
}
