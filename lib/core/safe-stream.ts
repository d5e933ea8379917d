import { Observable, Subscriber, type Observer, type OperatorFunction, type Subscription } from 'rxjs';

type Listener<T> = (value: T) => unknown;

/**
 * A stream that outlives its listeners. What one of them throws, or rejects with, would otherwise be an uncaught
 * exception and end the process; here it goes to `onThrow`, and the listener goes on. Behind operators as well; what
 * an operator throws ends what is behind it, and goes to `onThrow` unless the listener handles errors.
 */
export function safeStream<T>(source: Observable<T>, onThrow: (error: unknown) => void): Observable<T> {
  const plain = new Observable<T>((subscriber) => source.subscribe(subscriber));

  const subscribe = (
    given?: Partial<Observer<T>> | Listener<T> | null,
    error?: Listener<unknown> | null,
    complete?: (() => unknown) | null,
  ): Subscription => {
    // those of operators pass on what happens to them; the one at the end is what has to be guarded
    if (given instanceof Subscriber) return plain.subscribe(given);
    const listener = typeof given === 'object' ? given : undefined;
    const next = typeof given === 'function' ? given : undefined;
    const failed = listener ? listener.error?.bind(listener) : error;
    return plain.subscribe({
      next: (value) => guard(onThrow, () => (listener ? listener.next?.(value) : next?.(value))),
      error: (reason: unknown) =>
        // of an operator; without anybody who handles it, nobody else would hear of it
        guard(onThrow, () => (failed ? failed(reason) : onThrow(reason))),
      complete: () => guard(onThrow, () => (listener ? listener.complete?.() : complete?.())),
    });
  };

  const pipe = (...operators: readonly OperatorFunction<unknown, unknown>[]): Observable<unknown> => {
    const piped = operators.reduce((from: Observable<unknown>, operator) => operator(from), stream);
    return safeStream(piped, onThrow);
  };

  const stream: Observable<T> = Object.assign(new Observable<T>(), { subscribe, pipe });
  return stream;
}

function guard(onThrow: (error: unknown) => void, call: () => unknown): void {
  try {
    const result = call();
    if (result instanceof Promise) result.catch(onThrow);
  } catch (error) {
    onThrow(error);
  }
}
