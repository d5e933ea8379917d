import { BackendError, type Certainty } from '../backends/backend-error.js';
import type { Clock } from './clock.js';

/** A call that did not succeed. `unknown` is not a denial: it may have been carried out. */
export interface Failure {
  readonly ok: false;
  readonly certainty: Certainty;
  readonly error: Error;
}

/** What came of a backend call. */
export type Outcome<T> = { readonly ok: true; readonly value: T } | Failure;

/**
 * Carries out a backend call under a deadline of our own. Never rejects. Whatever a backend rejects with
 * that is no BackendError proves nothing, and counts as unknown; so does silence.
 */
export function outcomeOf<T>(clock: Clock, timeoutMs: number, call: () => Promise<T>): Promise<Outcome<T>> {
  return new Promise((resolve) => {
    const timer = clock.setTimer(() => resolve(silence(timeoutMs)), timeoutMs);
    const fail = (reason: unknown): void => {
      timer.clear();
      resolve(failure(reason));
    };
    try {
      call().then((value) => {
        timer.clear();
        resolve({ ok: true, value });
      }, fail);
    } catch (thrown) {
      fail(thrown);
    }
  });
}

function silence(timeoutMs: number): Failure {
  const error = new BackendError(
    `the lock server did not answer within ${Math.round(timeoutMs)} ms`,
    'unknown',
  );
  return { ok: false, certainty: 'unknown', error };
}

function failure(reason: unknown): Failure {
  if (reason instanceof BackendError || isBackendErrorByName(reason)) {
    return { ok: false, certainty: reason.certainty, error: reason };
  }
  const error = reason instanceof Error ? reason : new Error(`the backend rejected with ${String(reason)}`);
  return { ok: false, certainty: 'unknown', error };
}

function isBackendErrorByName(reason: unknown): reason is BackendError {
  if (!(reason instanceof Error) || reason.name !== 'BackendError') return false;
  const { certainty } = reason as Partial<BackendError>;
  return certainty === 'denied' || certainty === 'unknown';
}
