/** From 50 ms, doubling up to a second, with some jitter so that a fleet does not come back at one instant. */
export function reconnectDelayMs(attempt: number): number {
  const longestMs = Math.min(1000, 50 * 2 ** Math.min(attempt - 1, 10));
  return longestMs * (0.5 + Math.random() / 2);
}
