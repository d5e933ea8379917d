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

/** Who is told, once, what came of a call. */
export interface Caller<T> {
  onOutcome(outcome: Outcome<T>): void;
}

/** A call to a backend, and who is told what came of it: once, and after `send` has returned. */
export interface Call<T> extends Caller<T> {
  send(): Promise<T>;
}

/** A call whose answer is awaited. Who made it hears of the answer or of the silence, whichever comes first. */
class Pending<T = unknown> implements Caller<T>, Link<Pending> {
  before: Pending | undefined;
  after: Pending | undefined;

  constructor(
    private readonly others: Chain<Pending>,
    private readonly caller: Caller<T>,
    readonly deadlineMs: number,
  ) {
    others.add(this);
  }

  onOutcome(outcome: Outcome<T>): void {
    if (this.others.delete(this)) this.caller.onOutcome(outcome);
  }
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
   * Whatever a backend rejects with that is no BackendError proves nothing, and counts as unknown; so does
   * silence.
   *
   * @param nowMs the time, or a moment ago
   * @param timeoutMs when it is other than the usual limit
   */
  make<T>(call: Call<T>, nowMs: number, timeoutMs = this.limitMs): void {
    if (timeoutMs !== this.limitMs) return makeAlone(this.clock, call, timeoutMs);
    // sent first: what is written down about it is done while the server works
    this.watch(answerOf(call), call, nowMs);
  }

  /** For an answer that was asked for already. */
  watch<T>(answer: Promise<T>, caller: Caller<T>, nowMs: number): void {
    const pending = new Pending(this.pending, caller, nowMs + this.limitMs);
    this.timer ??= this.clock.setTimer(this.expireDue, this.limitMs, true);
    settle(answer, pending);
  }

  /** The same for those who rather wait. Never rejects. */
  outcome<T>(send: () => Promise<T>, timeoutMs = this.limitMs): Promise<Outcome<T>> {
    return new Promise((resolve) => {
      this.make({ send, onOutcome: resolve }, this.clock.now(), timeoutMs);
    });
  }

  /** Gives up on the calls that are still pending: somebody may wait for what they come to. */
  stop(): void {
    this.timer?.clear();
    this.timer = undefined;
    for (const call of this.pending.toArray()) call.onOutcome(silence(this.limitMs));
  }

  private readonly expireDue = (): void => {
    const nowMs = this.clock.now();
    this.timer = this.clock.setTimer(() => this.expireUnanswered(nowMs), ANSWERS_IN_HAND_MS, true);
  };

  private expireUnanswered(nowMs: number): void {
    for (let due = this.pending.first; due && due.deadlineMs <= nowMs; due = this.pending.first) {
      due.onOutcome(silence(this.limitMs));
    }
    const { first } = this.pending;
    this.timer = first && this.clock.setTimer(this.expireDue, first.deadlineMs - this.clock.now(), true);
  }
}

/** One call, under a deadline with a timer of its own. Never rejects, like {@link Calls.outcome}. */
export function outcomeOf<T>(clock: Clock, timeoutMs: number, send: () => Promise<T>): Promise<Outcome<T>> {
  return new Promise((resolve) => {
    makeAlone(clock, { send, onOutcome: resolve }, timeoutMs);
  });
}

function makeAlone<T>(clock: Clock, call: Call<T>, timeoutMs: number): void {
  let isPending = true;
  const onOutcome = (outcome: Outcome<T>): void => {
    if (!isPending) return;
    isPending = false;
    timer.clear();
    call.onOutcome(outcome);
  };
  let timer = clock.setTimer(() => {
    timer = clock.setTimer(() => onOutcome(silence(timeoutMs)), ANSWERS_IN_HAND_MS);
  }, timeoutMs);
  settle(answerOf(call), { onOutcome });
}

/** Backends may be anybody's: one that throws, or has its answer at once, answers like all others. */
export function answerOf<T>(call: Pick<Call<T>, 'send'>): Promise<T> {
  try {
    return Promise.resolve(call.send());
  } catch (thrown) {
    const cause = thrown as Error;
    return Promise.reject(cause);
  }
}

function settle<T>(answer: Promise<T>, caller: Caller<T>): void {
  answer.then(
    (value) => caller.onOutcome({ ok: true, value }),
    (reason: unknown) => caller.onOutcome(failureOf(reason)),
  );
}

function silence(timeoutMs: number): Failure {
  const error = new BackendError(
    `the lock server did not answer within ${Math.round(timeoutMs)} ms`,
    'unknown',
  );
  return { ok: false, certainty: 'unknown', error };
}

/** What is no BackendError proves nothing. */
export function failureOf(reason: unknown): Failure {
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
