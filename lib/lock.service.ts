import {
  Injectable,
  Logger,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { from, fromEvent, isObservable, Observable, takeUntil, type Subscriber } from 'rxjs';
import type { LockBackend } from './backends/lock-backend.js';
import { LockError, LockTimeoutError } from './core/errors.js';
import type { LockEvent } from './core/events.js';
import { HeldLease, type Lease } from './core/lease.js';
import { Locks } from './core/locks.js';
import { errorOf } from './core/refusal.js';
import type { LockSettings } from './core/settings.js';
import type { GuardedCall } from './guarded-call.js';

/**
 * The locks of an application, on the backend that its `LockModule` names. It starts with the application,
 * which does not come up without it, and is the last to go: jobs end first, then handlers, then the locks.
 */
@Injectable()
export class LockService extends Locks implements OnModuleInit, OnModuleDestroy, OnApplicationShutdown {
  private readonly logger: Logger;
  private readonly jobs = new Set<Promise<unknown>>();
  private draining = false;

  constructor(backend: LockBackend, settings: LockSettings = {}, name?: string) {
    super(backend, settings);
    this.logger = new Logger(name === undefined ? LockService.name : `${LockService.name} ${name}`);
    this.events.onAlert = (event) => this.log(event);
  }

  async onModuleInit(): Promise<void> {
    await this.start();
  }

  /** No new jobs from here on; those that run may end. Handlers are served still, so the locks stay. */
  async onModuleDestroy(): Promise<void> {
    this.draining = true;
    if (this.jobs.size === 0) return;
    let clear = (): void => undefined;
    const limit = new Promise<void>((resolve) => {
      const timer = this.settings.clock.setTimer(resolve, this.settings.shutdownTimeoutMs);
      clear = () => timer.clear();
    });
    await Promise.race([Promise.allSettled(this.jobs), limit]);
    clear();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.stop();
  }

  /** @internal Runs a guarded call; what decorators and interceptors do. */
  async run(call: GuardedCall): Promise<unknown> {
    const terms = this.terms(call.options);
    const lease = await this.obtain(call.keys(), terms);
    if (lease instanceof HeldLease) return this.guard(lease, terms, call.body);
    const error = errorOf(lease);
    // only our own refusal: one that the body throws is the body's
    if (error instanceof LockTimeoutError) return call.whenBusy(error);
    throw error;
  }

  /** @internal Runs a guarded call of a scheduled method, unless the application is closing. */
  async runJob(call: GuardedCall, site: string): Promise<unknown> {
    if (this.draining) return this.skip(site, 'the application is closing');
    const whenBusy = (error: LockTimeoutError): unknown => {
      this.skip(site, error.message);
      return call.whenBusy(error);
    };
    const job = this.run({ ...call, whenBusy });
    this.jobs.add(job);
    try {
      return await job;
    } finally {
      this.jobs.delete(job);
    }
  }

  /**
   * @internal A guarded call whose body makes an Observable: each subscription takes the lock, and gives it
   * back at completion, error or unsubscription. One that ends while it waits for the lock stops waiting.
   */
  observe(call: GuardedCall): Observable<unknown> {
    return new Observable((subscriber) => {
      const gone = new AbortController();
      const { signal } = call.options;
      const options = {
        ...call.options,
        signal: signal ? AbortSignal.any([signal, gone.signal]) : gone.signal,
      };
      const body = async (lease: Lease): Promise<void> => {
        if (!subscriber.closed) await relay(await call.body(lease), subscriber, gone.signal);
      };
      const whenBusy = async (error: LockTimeoutError): Promise<void> => {
        // undefined as well: without any value, Nest would answer a request with 500
        await relay(await call.whenBusy(error), subscriber, gone.signal);
      };
      this.run({ ...call, options, body, whenBusy }).then(
        () => subscriber.complete(),
        (error: unknown) => subscriber.error(error),
      );
      return () => gone.abort(new LockError('Nobody is subscribed any more.'));
    });
  }

  private skip(site: string, why: string): undefined {
    this.logger.debug(`${site} was skipped: ${why}`);
    if (this.events.observed) this.events.emit({ type: 'skipped', key: site, why });
    return undefined;
  }

  private log(event: LockEvent): void {
    if (event.type === 'lost') {
      this.logger.warn(`The lock "${event.key}" (fence ${event.fence}) was lost: ${event.reason}.`);
    } else if (event.type === 'release-failed' || event.type === 'backend-error') {
      this.logger.warn(event.error.message);
    }
  }
}

/** Passes on a value, or all that an Observable has; resolves when it has ended or nobody listens any more. */
function relay(source: unknown, subscriber: Subscriber<unknown>, gone: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (gone.aborted) {
      resolve();
      return;
    }
    // before the source is subscribed to: its first value may be all that the subscriber wanted
    const left = fromEvent(gone, 'abort');
    from(isObservable(source) ? source : [source])
      .pipe(takeUntil(left))
      .subscribe({ next: (value) => subscriber.next(value), error: reject, complete: resolve });
  });
}
