import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

/** Looks again and again, with a short pause, until it is so; fails with `what` when it takes too long. */
export async function until(
  reached: () => boolean | Promise<boolean>,
  what: string,
  limitMs = 5000,
  pauseMs = 5,
): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await reached())) {
    assert(performance.now() < endMs, `${what} within ${limitMs} ms`);
    await sleep(pauseMs);
  }
}
