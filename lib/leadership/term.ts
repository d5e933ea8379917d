import { Observable } from 'rxjs';
import type { Clock, Timer } from '../core/clock.js';
import { NotLeaderError, type LockError } from '../core/errors.js';
import type { HeldLease, Lease } from '../core/lease.js';
import { settledWithin } from '../scheduling/bounded.js';
import type { Election } from './leadership-settings.js';

/** One leadership of this replica, from an election to its end. */
export interface Leadership {
  /** The group that is led. */
  readonly group: string;
  /** The fence of the lock: above those of all earlier leaders of the group. */
  readonly term: bigint;
  /** Aborts at the end of the leadership, with the reason: `LockLostError` or `NotLeaderError`. */
  readonly signal: AbortSignal;
}

/** What a term needs of the service whose lease it is. */
export interface TermHost {
  readonly clock: Clock;
  within<T>(lease: HeldLease, body: (lease: Lease) => Promise<T> | T): Promise<T>;
}

/** No looking at the clock faster than this. */
const SHORTEST_PAUSE_MS = 1;

/**
 * The time in which a replica leads. It ends when the replica resigns, when the lock is lost, or at the renew deadline:
 * when no renewal has been confirmed for so long, while the server still keeps everybody else out.
 */
export class Term implements Leadership {
  readonly term: bigint;
  readonly signal: AbortSignal;
  /** Resolves when it has ended. */
  readonly over: Promise<void>;
  private readonly ending = new AbortController();
  private readonly work = new Set<Promise<unknown>>();
  private timer: Timer | undefined;
  private renewing = false;

  constructor(
    readonly group: string,
    private readonly lease: HeldLease,
    private readonly host: TermHost,
    private readonly election: Election,
  ) {
    this.term = lease.fence;
    lease.limitBy(this.ending.signal);
    this.signal = lease.signal;
    this.over = new Promise((resolve) => {
      const end = (): void => {
        this.timer?.clear();
        resolve();
      };
      if (this.signal.aborted) end();
      else this.signal.addEventListener('abort', end, { once: true });
    });
    this.tend();
  }

  /** Reads the clock: after a blocked event loop no timer has ended the term yet. */
  get holds(): boolean {
    if (this.signal.aborted) return false;
    // a lost lease has aborted the signal by now
    const leftMs = this.lease.expiresInMs;
    if (leftMs > this.election.spareMs) return true;
    this.end(
      new NotLeaderError(
        `This replica does not lead "${this.group}" (term ${this.term}) any more: the lock server has confirmed no renewal within the renew deadline, so it stepped down.`,
        { group: this.group },
      ),
    );
    return false;
  }

  /** Ends it, once. */
  end(reason: LockError): void {
    this.ending.abort(reason);
  }

  /** Runs something in the scope of the term's lease; what comes after the term waits for it, within bounds. */
  async run<T>(body: () => Promise<T> | T): Promise<T> {
    const work = this.host.within(this.lease, body);
    this.work.add(work);
    try {
      return await work;
    } finally {
      this.work.delete(work);
    }
  }

  /** The same for a stream, until it ends or nobody listens to it any more. */
  observe<T>(make: () => Observable<T>): Observable<T> {
    return new Observable((subscriber) => {
      const done = new Promise<void>((resolve) => {
        subscriber.add(resolve);
      });
      void this.run(() => {
        make().subscribe(subscriber);
        return done;
      }).catch((error: unknown) => subscriber.error(error));
    });
  }

  /** Resolves when nothing of the term runs any more, or after `limitMs`. */
  async settle(limitMs: number): Promise<void> {
    if (this.work.size > 0) await settledWithin(this.host.clock, limitMs, Promise.allSettled(this.work));
  }

  /** Gives the lock back. */
  async giveBack(): Promise<void> {
    await this.lease[Symbol.asyncDispose]();
  }

  /** Renews every `retry`, and ends the term at the renew deadline if that comes first. */
  private tend(): void {
    if (!this.holds) return;
    const { retryMs, spareMs } = this.election;
    const pauseMs = Math.min(retryMs, this.lease.expiresInMs - spareMs);
    const tick = (): void => {
      this.renew();
      this.tend();
    };
    this.timer = this.host.clock.setTimer(tick, Math.max(SHORTEST_PAUSE_MS, pauseMs), true);
  }

  private renew(): void {
    if (this.renewing || !this.holds) return;
    this.renewing = true;
    // a renewal that fails is repeated; only the deadline, or the server's word, is the end
    const done = (): void => {
      this.renewing = false;
    };
    this.lease.extend(this.election.ttlMs).then(done, done);
  }
}
