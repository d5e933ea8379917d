import { BackendError, type Certainty } from '../backends/backend-error.js';
import {
  isGrant,
  type Busy,
  type Claim,
  type Grant,
  type LockBackend,
  type LockMode,
  type Place,
} from '../backends/lock-backend.js';
import { forgetAbort, onceAborted } from './abort.js';
import type { Chain, Link } from './chain.js';
import type { Clock, Timer } from './clock.js';
import { deadlineOf } from './hold.js';
import type { Line, LineMember } from './line.js';
import { failureOf, type Call, type Calls, type Failure, type Outcome } from './outcome.js';
import type { Present, RollCall } from './roll-call.js';

/** What a wish for one key came to. */
export type Verdict =
  | { readonly kind: 'granted'; readonly grant: Grant; readonly uncertain: boolean }
  | { readonly kind: 'busy'; readonly busy: Busy }
  | { readonly kind: 'unavailable'; readonly certainty: Certainty; readonly error: Error }
  | { readonly kind: 'aborted'; readonly reason: unknown }
  | { readonly kind: 'closed' };

export type Granted = Extract<Verdict, { kind: 'granted' }>;

/** What all contenders of a service have in common. */
export interface Arena {
  readonly clock: Clock;
  readonly backend: LockBackend;
  readonly calls: Calls;
  readonly callTimeoutMs: number;
  /** All that wait for an answer. */
  readonly contenders: Chain<Contender>;
  readonly rollCall: RollCall;
  /** Something of that claim may be left on the server. */
  abandon(name: string, claim: Claim): void;
  /** The server said that it has to wait; told once a wish. */
  waits(name: string, claim: Claim, pattern: string | undefined): void;
}

/** How long past the wait a first claim may still be answered. */
const GRACE_MS = 200;
const FIRST_BACKOFF_MS = 25;
const LONGEST_BACKOFF_MS = 1_000;
/** No asking again faster than this without a hint. */
const SHORTEST_PAUSE_MS = 5;
/** Hints that come with the answers make it ask again at once, but no more often than this in a row. */
const MOST_HURRIES = 3;
/** Clocks that read closer together than that are taken for one. */
const CLOCK_GRAIN_MS = 1;
/** Who is in the way is asked anew after so many polls, though the roll call shows life at each of them. */
const POLLS_A_REFRESH = 10;

const RUBBISH: Failure = {
  ok: false,
  certainty: 'unknown',
  error: new BackendError('the lock backend answered neither with a grant nor with a place', 'unknown'),
};

/** Its end would never come by ours. */
const OTHER_CLOCK: Failure = {
  ok: false,
  certainty: 'unknown',
  error: new BackendError(
    'the lock backend granted it with a sentAtMs that is yet to come; it has to be read from the clock of the context, before the request is sent',
    'unknown',
  ),
};

/**
 * One wish for one key, until it is granted or given up: claim, take a place, and ask again at each hint, at
 * the holder's expiry and at the poll interval. A hint is never trusted; an answer of the server decides.
 */
export class Contender implements LineMember, Link<Contender>, Call<Grant | Place>, Present {
  failure: Failure | undefined;
  /** In the arena's chain. */
  before: Contender | undefined;
  after: Contender | undefined;
  private settled = false;
  private inFlight = false;
  /** A hint came while an answer was awaited; that answer may be older than the hint. */
  private hinted = false;
  /** This process freed the key while an answer was awaited. */
  private freedHere = false;
  /** How often in a row it asked again at once after an answer. */
  private hurries = 0;
  /** Claims beside the head of the line, and leaves no trace when busy. */
  private beside = false;
  private uncertain = false;
  private place: Place | undefined;
  private heardAtMs = 0;
  private answered = false;
  private backoffMs = FIRST_BACKOFF_MS;
  private deadlineTimer: Timer | undefined;
  private retryTimer: Timer | undefined;
  private onAbort: (() => void) | undefined;
  private readonly deadlineMs: number;

  constructor(
    private readonly arena: Arena,
    private readonly line: Line,
    private readonly name: string,
    readonly pattern: string | undefined,
    public claim: Claim,
    private readonly startMs: number,
    private readonly waitMs: number,
    private readonly signal: AbortSignal | undefined,
    private readonly done: (verdict: Verdict) => void,
  ) {
    this.deadlineMs = startMs + waitMs;
  }

  get mode(): LockMode {
    return this.claim.mode;
  }

  /** True once the server said that it has to wait. */
  get waits(): boolean {
    return this.answered;
  }

  get busy(): Busy | undefined {
    return this.place?.busy;
  }

  /** To be called at `startMs`. */
  start(): void {
    const { signal } = this;
    if (signal) {
      this.onAbort = () => this.conclude({ kind: 'aborted', reason: signal.reason as unknown });
      onceAborted(signal, this.onAbort);
    }
    this.line.enter();
    this.arena.contenders.add(this);
    this.enter();
  }

  /** Called by the line when it becomes the head. */
  takeTurn(delayMs: number): void {
    if (delayMs > 0) this.retryIn(delayMs);
    else this.attempt();
  }

  giveUpIfOver(): boolean {
    if (this.arena.clock.now() < this.deadlineMs) return false;
    this.onDeadline();
    return true;
  }

  /** This process freed the key. Useless when the server told us of somebody ahead. */
  hintFromHere(): void {
    if (this.inFlight) this.freedHere = true;
    else if (!this.place || this.isNext(this.place)) this.attempt();
  }

  get heardOfMs(): number | undefined {
    // one that backs off from a failure shows life by asking again
    if (!this.place || this.inFlight || this.settled || this.failure) return undefined;
    return this.heardAtMs;
  }

  seen(atMs: number): void {
    this.heardAtMs = atMs;
  }

  /** The service is closing. */
  close(): void {
    this.conclude({ kind: 'closed' });
  }

  send(): Promise<Grant | Place> {
    return this.place ? this.place.retry() : this.arena.backend.claim(this.claim);
  }

  onOutcome(outcome: Outcome<Grant | Place>): void {
    this.inFlight = false;
    if (this.settled) return;
    if (!outcome.ok) return this.onFailure(outcome);
    if (!isAnswer(outcome.value)) return this.onFailure(RUBBISH);
    this.failure = undefined;
    if (isGrant(outcome.value)) this.onGrant(outcome.value);
    else this.onPlace(outcome.value);
  }

  private enter(): void {
    if (this.waitMs === 0) return this.attempt(this.startMs);
    if (this.line.admitsBeside(this.claim)) {
      this.beside = true;
      this.claim = { ...this.claim, queue: false };
      this.attempt(this.startMs);
    } else if (this.line.join(this)) {
      this.attempt(this.startMs);
    } else {
      this.armDeadline();
    }
  }

  /** Once it is certain to wait: most wishes are granted by the first answer, which has a limit of its own. */
  private armDeadline(): void {
    if (this.deadlineTimer || this.settled || this.waitMs === Infinity) return;
    const leftMs = this.deadlineMs - this.arena.clock.now();
    this.deadlineTimer = this.arena.clock.setTimer(() => this.onDeadline(), leftMs);
  }

  attempt(nowMs = this.arena.clock.now()): void {
    if (this.settled) return;
    if (this.inFlight) {
      this.hinted = true;
      return;
    }
    this.inFlight = true;
    this.hinted = false;
    this.freedHere = false;
    const grant = this.place?.takeOver && handedOver(this.place);
    if (grant) return this.onOutcome({ ok: true, value: grant });
    const { retryTimer } = this;
    this.arena.calls.make(this, nowMs, this.timeoutMs(nowMs));
    retryTimer?.clear();
  }

  private timeoutMs(nowMs: number): number {
    const { callTimeoutMs } = this.arena;
    if (this.waitMs === 0) return callTimeoutMs;
    // not yet past its very first call, so all of its time is left
    if (!this.deadlineTimer && this.waitMs + GRACE_MS >= callTimeoutMs) return callTimeoutMs;
    return Math.max(1, Math.min(callTimeoutMs, this.deadlineMs + GRACE_MS - nowMs));
  }

  private onGrant(grant: Grant): void {
    const { ttlMs } = grant.claim;
    const nowMs = this.arena.clock.now();
    if (grant.sentAtMs > nowMs + CLOCK_GRAIN_MS) return this.onFailure(OTHER_CLOCK);
    if (nowMs < deadlineOf(grant.sentAtMs, grant.leaseMs ?? ttlMs)) {
      this.conclude({ kind: 'granted', grant, uncertain: this.uncertain });
      return;
    }
    this.uncertain = true;
    const error = new Error(`it was granted, but the answer took longer than the ttl of ${ttlMs} ms`);
    this.conclude({ kind: 'unavailable', certainty: 'denied', error });
  }

  private onPlace(place: Place): void {
    if (this.waitMs === 0) return this.conclude({ kind: 'busy', busy: place.busy });
    if (!this.answered) this.arena.waits(this.name, this.claim, this.pattern);
    this.answered = true;
    this.heardAtMs = this.arena.clock.now();
    if (this.heardAtMs >= this.deadlineMs) {
      this.place = place;
      return this.onDeadline();
    }
    this.armDeadline();
    if (this.beside) return this.fallIn();
    this.place = place;
    const deafness = this.listen(place);
    if (deafness) return this.onFailure(deafness);
    this.backoffMs = FIRST_BACKOFF_MS;
    if (this.hinted || (this.freedHere && this.isNext(place))) return this.hurry();
    this.hurries = 0;
    const { expiresInMs: toldMs = NaN } = place.busy;
    const expiresInMs = Number.isNaN(toldMs) ? Infinity : toldMs;
    this.retryIn(Math.max(SHORTEST_PAUSE_MS, Math.min(this.pollMs(), expiresInMs + 1)));
  }

  /** At once, unless the backend hints with each of its answers: that would leave no turn to anything else here. */
  private hurry(): void {
    if (++this.hurries > MOST_HURRIES) this.retryIn(SHORTEST_PAUSE_MS);
    else this.attempt();
  }

  /** Backends may be anybody's, so this may throw. What rejects later is a hint that got lost, which is legal. */
  private listen(place: Place): Failure | undefined {
    // what it hints at once counts like a hint that came before the answer
    this.inFlight = true;
    try {
      const listening: unknown = place.onHint(() => this.attempt());
      if (listening instanceof Promise) listening.catch(() => undefined);
      return undefined;
    } catch (thrown) {
      return failureOf(thrown);
    } finally {
      this.inFlight = false;
    }
  }

  /** As far as we were told. */
  private isNext({ busy }: Place): boolean {
    return (busy.ahead ?? 0) === 0;
  }

  /** How long until it asks by itself, without a reason. */
  private pollMs(): number {
    const { rollCall, backend } = this.arena;
    if (!rollCall.isHeld) return backend.traits.pollMs;
    rollCall.add(this);
    return POLLS_A_REFRESH * backend.traits.pollMs;
  }

  /** From beside the line into it. */
  private fallIn(): void {
    this.beside = false;
    this.claim = { ...this.claim, queue: true };
    if (this.line.join(this)) this.attempt();
  }

  private onFailure(failure: Failure): void {
    this.failure = failure;
    if (failure.certainty === 'unknown') this.uncertain = true;
    const isOver = this.arena.clock.now() >= this.deadlineMs;
    if (this.waitMs === 0 || isOver) return this.concludeUnavailable(failure);
    this.armDeadline();
    if (this.beside) return this.fallIn();
    this.retryIn(this.backoffMs);
    this.backoffMs = Math.min(LONGEST_BACKOFF_MS, this.backoffMs * 2);
  }

  private retryIn(delayMs: number): void {
    this.retryTimer?.clear();
    this.retryTimer = this.arena.clock.setTimer(() => this.attempt(), delayMs);
  }

  private onDeadline(): void {
    // a first claim whose answer is due any moment gets its grace: that answer says why
    if (this.inFlight && !this.answered && !this.failure) return;
    const failure = this.failure ?? this.line.news.failure;
    if (failure) this.concludeUnavailable(failure);
    else this.conclude({ kind: 'busy', busy: this.busy ?? this.line.news.busy ?? {} });
  }

  private concludeUnavailable({ certainty, error }: Failure): void {
    this.conclude({ kind: 'unavailable', certainty, error });
  }

  private conclude(verdict: Verdict): void {
    if (this.settled) return;
    this.settled = true;
    this.deadlineTimer?.clear();
    this.retryTimer?.clear();
    if (this.signal && this.onAbort) forgetAbort(this.signal, this.onAbort);
    if (verdict.kind === 'granted') {
      this.line.granted();
    } else if (this.inFlight || this.uncertain || this.place) {
      this.arena.abandon(this.name, this.claim);
    }
    this.arena.contenders.delete(this);
    if (this.place) this.arena.rollCall.delete(this);
    this.line.leave(this);
    this.done(verdict);
  }
}

/** What came with a hint. Backends may be anybody's: whatever is no grant is nothing, and the server is asked. */
function handedOver(place: Place): Grant | undefined {
  try {
    const grant = place.takeOver?.();
    return grant && isAnswer(grant) && isGrant(grant) ? grant : undefined;
  } catch {
    return undefined;
  }
}

/** Backends may be anybody's. */
function isAnswer(value: Partial<Grant & Place> | null | undefined): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if ('fence' in value)
    return (
      typeof value.fence === 'bigint' &&
      Number.isFinite(value.sentAtMs) &&
      typeof value.claim?.ttlMs === 'number'
    );
  return typeof value.retry === 'function' && typeof value.onHint === 'function' && Boolean(value.busy);
}
