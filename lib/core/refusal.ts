import { identityOf } from './claim.js';
import type { Verdict } from './contender.js';
import { LockError, LockTimeoutError, LockUnavailableError } from './errors.js';

/** Why a wish for a key was not granted. */
export interface Refusal {
  readonly name: string;
  readonly waitedMs: number;
  readonly verdict: Exclude<Verdict, { kind: 'granted' }>;
}

/** What a caller gets to see of it: who is in the way, how long one waited, what to do. */
export function errorOf({ name, waitedMs, verdict }: Refusal): unknown {
  switch (verdict.kind) {
    case 'aborted':
      return verdict.reason ?? new LockError(`Waiting for "${name}" was aborted.`, { key: name });
    case 'closed':
      return new LockUnavailableError(`Could not lock "${name}": the lock service is shutting down.`, {
        key: name,
      });
    case 'unavailable':
      return new LockUnavailableError(
        `Could not lock "${name}": ${verdict.error.message.replace(/\.$/, '')}. Nothing guarded has run; ${remedy(verdict.certainty)}.`,
        { key: name, cause: verdict.error },
      );
    case 'busy':
      return timeoutError(name, waitedMs, verdict);
  }
}

function remedy(certainty: 'denied' | 'unknown'): string {
  return certainty === 'denied'
    ? 'see whether the lock server is up and accepts writes'
    : 'what the lost call may have left behind is being cleaned up';
}

function timeoutError(
  name: string,
  waitedMs: number,
  verdict: Extract<Verdict, { kind: 'busy' }>,
): LockTimeoutError {
  const { holder, expiresInMs } = verdict.busy;
  const details = { key: name, waitedMs: Math.round(waitedMs), holder, expiresInMs };
  const who =
    holder === undefined
      ? 'it is kept for somebody ahead in the line'
      : `it is held by ${identityOf(holder)}`;
  const till =
    expiresInMs === undefined ? '' : ` (lease: ${Math.round(expiresInMs)} ms more, unless renewed)`;
  const effort = waitedMs < 1 ? 'at the first try' : `within ${details.waitedMs} ms`;
  return new LockTimeoutError(
    `Could not lock "${name}" ${effort}: ${who}${till}. Give more time with wait, or handle this refusal with onBusy.`,
    details,
  );
}
