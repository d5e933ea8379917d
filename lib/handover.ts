import { AsyncResource } from 'node:async_hooks';
import { isObservable, Observable, Subject, takeUntil, type Subscriber } from 'rxjs';
import type { Clock, Timer } from './core/clock.js';
import type { Lease } from './core/lease.js';
import type { GuardedCall } from './guarded-call.js';

/** How long an Observable that nobody knew of beforehand keeps its lock for a first subscriber. */
const OFFER_MS = 1_000;

/** What carries out a call that may turn out to have made an Observable. */
export interface Surroundings {
  readonly clock: Clock;
  run(call: GuardedCall): Promise<unknown>;
  /** The whole call anew for each subscription, each under a lock of its own. */
  observe(call: GuardedCall): Observable<unknown>;
}

/**
 * Carries out a call of which nobody knows what it returns. An Observable is handed out together with the lock
 * under which it was made: what the method found out before it returned still holds when its first subscriber
 * sets the work going. Every other subscription, and one that comes late, makes the whole call anew.
 */
export function runOrHandOver(call: GuardedCall, { clock, run, observe }: Surroundings): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const body = async (lease: Lease): Promise<unknown> => {
      const result = await call.body(lease);
      if (!isObservable(result)) return result;
      const handover = new Handover(result, clock, lease.signal);
      resolve(handover.stream(ended, () => observe(call)));
      return handover.over;
    };
    const ended = run({ ...call, body });
    ended.then(resolve, reject);
  });
}

/** An Observable and the lock that was held when it was made, until one subscriber takes both, or none does. */
class Handover {
  /** Settles when the lock is needed no longer. */
  readonly over: Promise<void>;
  private isOffered = true;
  private end!: (outcome?: Promise<void>) => void;
  private readonly timer: Timer;
  /** In the scope of the lock, which is not that of the subscriber. */
  private readonly inScope = new AsyncResource('nestjs-interlock.handover');

  constructor(
    private readonly source: Observable<unknown>,
    clock: Clock,
    private readonly loss: AbortSignal,
  ) {
    this.over = new Promise((resolve) => {
      this.end = resolve;
    });
    this.timer = clock.setTimer(this.withdraw, OFFER_MS, true);
    loss.addEventListener('abort', this.withdraw);
  }

  /** @param ended settles when the lock has been given back */
  stream(ended: Promise<unknown>, anew: () => Observable<unknown>): Observable<unknown> {
    return new Observable((subscriber) => {
      if (!this.isOffered) return anew().subscribe(subscriber);
      this.close();
      ended.then(
        () => subscriber.complete(),
        (error: unknown) => subscriber.error(error),
      );
      this.end(this.inScope.runInAsyncScope(() => forward(this.source, subscriber)));
      return undefined;
    });
  }

  private readonly withdraw = (): void => {
    this.close();
    this.end();
  };

  private close(): void {
    this.isOffered = false;
    this.timer.clear();
    this.loss.removeEventListener('abort', this.withdraw);
  }
}

/** Passes everything on, and resolves at the end, or when the subscriber has left. */
function forward(source: Observable<unknown>, subscriber: Subscriber<unknown>): Promise<void> {
  return new Promise((resolve, reject) => {
    const left = new Subject<void>();
    // before the source is subscribed to: its first value may be all that the subscriber wanted
    subscriber.add(() => left.next());
    source
      .pipe(takeUntil(left))
      .subscribe({ next: (value) => subscriber.next(value), error: reject, complete: resolve });
  });
}
