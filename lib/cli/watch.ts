import type { LockSnapshot } from '../backends/lock-backend.js';
import { identityOf } from '../core/claim.js';
import { errorMessage } from '../core/errors.js';
import type { Locks } from '../core/locks.js';
import type { CommandCall } from './command-line.js';
import type { Console } from './console.js';
import { modeText } from './mode-text.js';

/** What there is to tell of one key. */
interface Seen {
  readonly key: string;
  readonly mode: string;
  readonly holders: readonly { readonly by: string; readonly fence: bigint }[];
  readonly waiting: number;
}

/** Looks again and again, and tells what is different; until it is interrupted, or its time is over. */
export async function watch(
  locks: Locks,
  { subject, intervalMs, forMs }: Pick<CommandCall, 'subject' | 'intervalMs' | 'forMs'>,
  console: Console,
): Promise<number> {
  const over = new AbortController();
  const end = (): void => over.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
  let before = new Map<string, Seen>();
  await locks.start();
  const limit = forMs === undefined ? undefined : setTimeout(end, forMs);
  do {
    try {
      const now = await look(locks, subject);
      tell(before, now, console);
      before = now;
    } catch (error) {
      console.note(errorMessage(error));
    }
    await pause(intervalMs, over.signal);
  } while (!over.signal.aborted);
  clearTimeout(limit);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, end);
  return 0;
}

async function look(locks: Locks, prefix: string | undefined): Promise<Map<string, Seen>> {
  const seen = new Map<string, Seen>();
  for await (const snapshot of locks.list(prefix)) seen.set(snapshot.key, seenOf(snapshot));
  return seen;
}

function seenOf(snapshot: LockSnapshot): Seen {
  const { key, holders, waiting } = snapshot;
  const list = holders.map(({ owner, fence }) => ({ by: identityOf(owner), fence }));
  return { key, mode: modeText(snapshot), holders: list, waiting };
}

function tell(before: ReadonlyMap<string, Seen>, now: ReadonlyMap<string, Seen>, console: Console): void {
  const at = new Date().toISOString();
  for (const [key, seen] of now) {
    if (textOf(before.get(key)) !== textOf(seen))
      console.say({ at, ...seen }, () => line(at, key, textOf(seen)));
  }
  for (const key of before.keys()) {
    if (!now.has(key))
      console.say({ at, key, holders: [], waiting: 0 }, () => line(at, key, textOf(undefined)));
  }
}

function line(at: string, key: string, text: string): string {
  return `${at.slice(11, 23)}  ${key}  ${text}`;
}

function textOf(seen: Seen | undefined): string {
  if (!seen) return 'free';
  const { mode, holders, waiting } = seen;
  const list = holders.map(({ by, fence }) => `${by} (fence ${fence})`).join(', ');
  return `${mode}  ${list === '' ? 'nobody' : `held by ${list}`}${waiting > 0 ? `  ${waiting} waiting` : ''}`;
}

function pause(ms: number, over: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      over.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (over.aborted) done();
    else over.addEventListener('abort', done, { once: true });
  });
}
