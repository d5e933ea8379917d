import { Observable, Subscriber, type Observer, type Operator, type Subscription } from 'rxjs';

type Next<T> = (value: T) => unknown;

/**
 * A stream that outlives its listeners. What one of them throws, or rejects with, would otherwise be an uncaught
 * exception and end the process; here it goes to `onThrow`, and the listener goes on. Behind operators as well.
 */
export class SafeStream<T> extends Observable<T> {
  constructor(
    source: Observable<unknown>,
    private readonly onThrow: (error: unknown) => void,
    operator?: Operator<unknown, T>,
  ) {
    super();
    this.source = source;
    // without one, everything is passed on as it is
    this.operator = operator ?? { call: (subscriber, from: Observable<T>) => from.subscribe(subscriber) };
  }

  override lift<R>(operator?: Operator<T, R>): Observable<R> {
    return new SafeStream<R>(this, this.onThrow, operator as Operator<unknown, R> | undefined);
  }

  override subscribe(observerOrNext?: Partial<Observer<T>> | Next<T> | null): Subscription;
  override subscribe(
    next?: Next<T> | null,
    error?: ((error: unknown) => unknown) | null,
    complete?: (() => unknown) | null,
  ): Subscription;
  override subscribe(
    given?: Partial<Observer<T>> | Next<T> | null,
    error?: ((error: unknown) => unknown) | null,
    complete?: (() => unknown) | null,
  ): Subscription {
    // those of operators pass on what happens to them; the one at the end is what has to be guarded
    if (given instanceof Subscriber) return super.subscribe(given);
    const listener = typeof given === 'object' && given !== null ? given : undefined;
    const next = typeof given === 'function' ? given : undefined;
    return super.subscribe({
      next: (value) => this.guard(() => (listener ? listener.next?.(value) : next?.(value))),
      error: (reason: unknown) => this.guard(() => (listener ? listener.error?.(reason) : error?.(reason))),
      complete: () => this.guard(() => (listener ? listener.complete?.() : complete?.())),
    });
  }

  private guard(call: () => unknown): void {
    try {
      const result = call();
      if (result instanceof Promise) result.catch(this.onThrow);
    } catch (error) {
      this.onThrow(error);
    }
  }
}
