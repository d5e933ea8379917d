import type { Clock } from '../core/clock.js';

/** Resolves when the work has settled, however, or after `limitMs`; says whether it has settled. */
export function settledWithin(clock: Clock, limitMs: number, work: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = clock.setTimer(() => resolve(false), limitMs);
    const settled = (): void => {
      timer.clear();
      resolve(true);
    };
    work.then(settled, settled);
  });
}

/** A pause that ends early when the signal aborts; never rejects. */
export function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      timer.clear();
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = clock.setTimer(end, ms, true);
    signal?.addEventListener('abort', end);
  });
}
