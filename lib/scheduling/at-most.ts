import type { Clock } from '../core/clock.js';
import { LockError } from '../core/errors.js';
import type { HeldLease } from '../core/lease.js';

/** What a limit on a run needs of the lock service. */
export interface LimitHost {
  readonly clock: Clock;
  warn(message: string): void;
}

/**
 * Does the work under a lease whose signal aborts after `atMostMs`. The lock is kept all the same until the work has
 * ended: work that does not look at its signal must not meet its successor.
 */
export async function withLimit<T>(
  host: LimitHost,
  lease: HeldLease,
  atMostMs: number | undefined,
  site: string,
  work: () => Promise<T>,
): Promise<T> {
  if (atMostMs === undefined) return work();
  const limit = new AbortController();
  lease.limitBy(limit.signal);
  const timer = host.clock.setTimer(
    () => {
      const message = `${site} has run for longer than its atMost of ${atMostMs} ms, and is told to stop; "${lease.key}" is kept until it does.`;
      limit.abort(new LockError(message, { key: lease.key }));
      host.warn(message);
    },
    atMostMs,
    true,
  );
  try {
    return await work();
  } finally {
    timer.clear();
  }
}
