import { BackendError, type Certainty } from '../backends/backend-error.js';
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

/** A call whose answer is awaited, between its neighbours in the order of their deadlines. */
interface Pending {
  readonly deadlineMs: number;
  readonly expire: () => void;
  before: Pending | undefined;
  after: Pending | undefined;
}

/**
 * Carries out backend calls under deadlines of our own. Nearly all have the same limit, so their deadlines come
 * in the order of their calls: a list and one timer serve them all, and a call that is answered in time, as
 * nearly all are, never touches a timer.
 */
export class Calls {
  private first: Pending | undefined;
  private last: Pending | undefined;
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
        this.dequeue(pending);
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
    const before = this.last;
    const deadlineMs = this.clock.now() + this.limitMs;
    const pending: Pending = { deadlineMs, expire, before, after: undefined };
    this.last = pending;
    if (before) before.after = pending;
    else this.first = pending;
    this.timer ??= this.clock.setTimer(this.expireDue, this.limitMs, true);
    return pending;
  }

  private dequeue(pending: Pending): void {
    const { before, after } = pending;
    if (before) before.after = after;
    else if (this.first === pending) this.first = after;
    if (after) after.before = before;
    else if (this.last === pending) this.last = before;
    pending.before = undefined;
    pending.after = undefined;
  }

  private readonly expireDue = (): void => {
    const nowMs = this.clock.now();
    this.timer = this.clock.setTimer(() => this.expireUnanswered(nowMs), ANSWERS_IN_HAND_MS, true);
  };

  private expireUnanswered(nowMs: number): void {
    this.timer = undefined;
    this.expireUntil(nowMs);
    if (!this.first) return;
    this.timer = this.clock.setTimer(this.expireDue, this.first.deadlineMs - this.clock.now(), true);
  }

  private expireUntil(nowMs: number): void {
    while (this.first && this.first.deadlineMs <= nowMs) {
      const due = this.first;
      this.dequeue(due);
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
