import type { Clock } from '../../core/clock.js';
import { within } from '../time-limit.js';

/** What bytes go over, below a client. */
export interface Stream {
  readonly destroyed: boolean;
  destroy(): void;
  once(event: 'close', listener: () => void): unknown;
}

/**
 * Waits until a pool has ended and its connections are closed, and closes what is left at the limit: a server that
 * stands still does not hang up.
 */
export async function poolEnd(
  clock: Clock,
  limitMs: number,
  end: Promise<void>,
  streams: readonly Stream[],
): Promise<void> {
  const open = streams.filter(({ destroyed }) => !destroyed);
  const closed = open.map(
    (stream) =>
      new Promise<void>((resolve) => {
        stream.once('close', resolve);
      }),
  );
  await within(clock, limitMs, Promise.all([end, ...closed])).catch(() => undefined);
  for (const stream of open) stream.destroy();
}
