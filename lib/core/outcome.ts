import { BackendError, type Certainty } from '../backends/backend-error.js';
import { Chain, type Link } from './chain.js';
import type { Clock, Timer } from './clock.js';

/** A call that did not succeed. `unknown` is not a denial: it may have been carried out. */
export interface Failure {
  readonly ok: false;
  readonly certainty: Certainty;
  readonly error: Error;
}

/** What came of a backend call. */
export type Outcome<T> = { readonly ok: true; readonly value: T } | Failure;

/**
 * After an event loop that was blocked or starved, timers fire before the sockets are read. An answer that has
 * long been there is read within one more turn of the loop, and only then the server counts as silent.
 */
const ANSWERS_IN_HAND_MS = 0;

/** A call whose answer is awaited. */
interface Pending extends Link<Pending> {
  readonly deadlineMs: number;
  readonly expire: () => void;
}

/**
 * Carries out backend calls under deadlines of our own. Nearly all have the same limit, so their deadlines come
 * in the order of their calls: a chain and one timer serve them all, and a call that is answered in time, as
 * nearly all are, never touches a timer.
 */
export class Calls {
  private readonly pending = new Chain<Pending>();
  private timer: Timer | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly limitMs: number,
  ) {}

  /**
   * Never rejects. Whatever a backend rejects with that is no BackendError proves nothing, and counts as
   * unknown; so does silence.
   *
   * @param timeoutMs when it is other than the usual limit
   */
  outcome<T>(call: () => Promise<T>, timeoutMs = this.limitMs): Promise<Outcome<T>> {
    if (timeoutMs !== this.limitMs) return outcomeOf(this.clock, timeoutMs, call);
    return new Promise((resolve) => {
      const pending = this.enqueue(() => resolve(silence(timeoutMs)));
      settle(call, (outcome) => {
        this.pending.delete(pending);
        resolve(outcome);
      });
    });
  }

  /** Gives up on the calls that are still pending: somebody may wait for what they come to. */
  stop(): void {
    this.timer?.clear();
    this.timer = undefined;
    this.expireUntil(Infinity);
  }

  private enqueue(expire: () => void): Pending {
    const deadlineMs = this.clock.now() + this.limitMs;
    const pending: Pending = { deadlineMs, expire, before: undefined, after: undefined };
    this.pending.add(pending);
    this.timer ??= this.clock.setTimer(this.expireDue, this.limitMs, true);
    return pending;
  }

  private readonly expireDue = (): void => {
    const nowMs = this.clock.now();
    this.timer = this.clock.setTimer(() => this.expireUnanswered(nowMs), ANSWERS_IN_HAND_MS, true);
  };

  private expireUnanswered(nowMs: number): void {
    this.timer = undefined;
    this.expireUntil(nowMs);
    const { first } = this.pending;
    if (!first) return;
    this.timer = this.clock.setTimer(this.expireDue, first.deadlineMs - this.clock.now(), true);
  }

  private expireUntil(nowMs: number): void {
    for (let due = this.pending.first; due && due.deadlineMs <= nowMs; due = this.pending.first) {
      this.pending.delete(due);
      due.expire();
    }
  }
}

/** One call, under a deadline with a timer of its own. Never rejects, like {@link Calls.outcome}. */
export function outcomeOf<T>(clock: Clock, timeoutMs: number, call: () => Promise<T>): Promise<Outcome<T>> {
  return new Promise((resolve) => {
    let timer = clock.setTimer(() => {
      timer = clock.setTimer(() => resolve(silence(timeoutMs)), ANSWERS_IN_HAND_MS);
    }, timeoutMs);
    settle(call, (outcome) => {
      timer.clear();
      resolve(outcome);
    });
  });
}

function settle<T>(call: () => Promise<T>, done: (outcome: Outcome<T>) => void): void {
  try {
    call().then(
      (value) => done({ ok: true, value }),
      (reason: unknown) => done(failure(reason)),
    );
  } catch (thrown) {
    done(failure(thrown));
  }
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
