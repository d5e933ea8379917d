import {
  Injectable,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { from, isObservable, Observable, Subject, takeUntil, type Subscriber } from 'rxjs';
import type { BackendTraits, LockBackend } from './backends/lock-backend.js';
import { identityOf } from './core/claim.js';
import type { Clock } from './core/clock.js';
import { LockError, LockTimeoutError } from './core/errors.js';
import type { LockEvent } from './core/events.js';
import { HeldLease, type Lease } from './core/lease.js';
import { Locks } from './core/locks.js';
import type { GuardOptions, LockOptions } from './core/options.js';
import { errorOf } from './core/refusal.js';
import type { LockSettings } from './core/settings.js';
import type { GuardedCall } from './guarded-call.js';
import { LockLog } from './lock.log.js';
import { withLimit } from './scheduling/at-most.js';
import { JobDesk } from './scheduling/job-desk.js';
import type { ScheduledCall } from './scheduling/repeats.js';
import { TickRunner } from './scheduling/tick-runner.js';

/**
 * The locks of an application, on the backend that its `LockModule` names. It starts with the application,
 * which does not come up without it, and is the last to go: jobs end first, then handlers, then the locks.
 */
@Injectable()
export class LockService extends Locks implements OnModuleInit, OnModuleDestroy, OnApplicationShutdown {
  /** @internal */
  readonly jobs: JobDesk;
  /** @internal */
  readonly ticks = new TickRunner(this);
  private readonly log: LockLog;

  /**
   * `LockModule` makes these; by hand it is for tests.
   *
   * @param name of a further service, for its log and its events
   * @throws LockConfigurationError when a setting is wrong
   */
  constructor(backend: LockBackend, settings: LockSettings = {}, name?: string) {
    super(backend, settings, name);
    const context = name === undefined ? LockService.name : `${LockService.name} ${name}`;
    this.log = new LockLog(this.settings.clock, context);
    this.jobs = new JobDesk(this.settings.clock, this.settings.shutdownTimeoutMs);
    this.events.onAlert = (event) => this.log.write(event);
    this.events.onThrow = (error) => this.log.listenerThrew(error);
  }

  /** @internal */
  get clock(): Clock {
    return this.settings.clock;
  }

  /** @internal */
  get identity(): string {
    return this.settings.identity;
  }

  /** @internal */
  get traits(): BackendTraits {
    return this.backend.traits;
  }

  /** @internal Takes part in an election, or claims something; not re-entrant, and the lease is the caller's. */
  async contest(key: string, options: LockOptions, identity: string = this.identity): Promise<HeldLease> {
    const terms = this.terms({ ...options, reentrant: false });
    const lease = await this.obtain(key, { ...terms, identity, lasting: true });
    if (lease instanceof HeldLease) return lease;
    throw errorOf(lease);
  }

  /** @throws LockUnavailableError when the lock server cannot be used: the application does not come up then */
  async onModuleInit(): Promise<void> {
    await this.start();
    if (!this.traits.remote && process.env['NODE_ENV'] === 'production') this.log.alone();
  }

  /** @internal What elections come to. */
  announce(event: Extract<LockEvent, { type: 'elected' | 'deposed' }>): void {
    this.events.alert(event);
  }

  /** No new jobs from here on; those that run may end. Handlers are served still, so the locks stay. */
  async onModuleDestroy(): Promise<void> {
    await this.jobs.drain();
  }

  /** The same as `stop()`: whoever waits is rejected, and what is held is given back. */
  async onApplicationShutdown(): Promise<void> {
    await this.stop();
  }

  /** @internal Runs a guarded call; what decorators and interceptors do. */
  async run(call: GuardedCall): Promise<unknown> {
    const terms = this.terms(call.options);
    const lease = await this.obtain(call.keys(), terms);
    if (lease instanceof HeldLease) {
      const { atMostMs, site } = call;
      return withLimit(this, lease, atMostMs, site, () => this.guard(lease, terms, call.body));
    }
    const error = errorOf(lease);
    // only our own refusal: one that the body throws is the body's
    if (!(error instanceof LockTimeoutError)) throw error;
    if (call.skips) this.skip(call.site, error.key ?? '', whyBusy(error));
    return call.whenBusy(error);
  }

  /** @internal Runs a guarded call of a scheduled method, unless the application is closing or it has run already. */
  async runJob(call: GuardedCall, scheduled: ScheduledCall): Promise<unknown> {
    const { closing } = this.jobs;
    const skip = (why = 'the application is closing'): undefined => this.skipJob(call, why);
    const refusal = this.jobs.refusal(scheduled);
    if (refusal !== undefined) return skip(refusal);
    // granted at the very moment of the closing, it is a new job all the same
    const body = (lease: Lease): unknown => (closing.aborted ? skip() : call.body(lease));
    const job = { ...call, options: withSignal(call.options, closing), body };
    try {
      return await this.jobs.run(() => this.run(job));
    } catch (error) {
      if (error === closing.reason) return skip();
      throw error;
    }
  }

  /**
   * @internal A guarded call whose body makes an Observable: each subscription takes the lock, and gives it
   * back at completion, error or unsubscription. One that ends while it waits for the lock stops waiting.
   *
   * @param worksOn that the work may go on when nobody is subscribed any more, as that of a Promise does; the
   *   lock is kept until the first result then, which is the last one of a Promise
   */
  observe(call: GuardedCall, worksOn = false): Observable<unknown> {
    return new Observable((subscriber) => {
      const gone = new AbortController();
      const relay = (result: unknown, keeps: boolean): Promise<void> | undefined =>
        gone.signal.aborted
          ? undefined
          : pass(isObservable(result) ? result : from([result]), subscriber, gone.signal, keeps);
      const body = async (lease: Lease): Promise<void> => {
        if (subscriber.closed) return;
        await relay(await call.body(lease), worksOn);
      };
      const whenBusy = async (error: LockTimeoutError): Promise<void> => {
        // undefined as well: Nest takes a result without any value for a failure
        await relay(await call.whenBusy(error), false);
      };
      this.run({ ...call, options: withSignal(call.options, gone.signal), body, whenBusy }).then(
        () => subscriber.complete(),
        (error: unknown) => subscriber.error(error),
      );
      return () => gone.abort(new LockError('Nobody is subscribed any more.'));
    });
  }

  /** @internal */
  warn(message: string): void {
    this.log.warn(message);
  }

  private skipJob({ site, keys }: GuardedCall, why: string): undefined {
    const made = keys();
    return this.skip(site, typeof made === 'string' ? made : (made[0] ?? ''), why);
  }

  /** @internal Tells that something did not run, and why. */
  skip(site: string, key: string, why: string): undefined {
    this.events.alert({ type: 'skipped', key, site, why });
    return undefined;
  }
}

function whyBusy({ holder }: LockTimeoutError): string {
  return holder === undefined ? 'somebody else is ahead' : `it is held by ${identityOf(holder)}`;
}

function withSignal(options: GuardOptions, signal: AbortSignal): GuardOptions {
  return { ...options, signal: options.signal ? AbortSignal.any([options.signal, signal]) : signal };
}

/**
 * Passes everything on, and resolves when the source has ended, or was unsubscribed because nobody listens.
 *
 * @param keeps to the first result at least
 */
function pass(
  source: Observable<unknown>,
  subscriber: Subscriber<unknown>,
  gone: AbortSignal,
  keeps: boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const ended = new Subject<void>();
    let isKept = keeps;
    const end = (): void => {
      if (gone.aborted && !isKept) ended.next();
    };
    gone.addEventListener('abort', end);
    // not by the subscription: a source may emit, and its listener leave, before there is one
    source.pipe(takeUntil(ended)).subscribe({
      next: (value) => {
        isKept = false;
        subscriber.next(value);
        end();
      },
      error: reject,
      complete: resolve,
    });
  });
}
