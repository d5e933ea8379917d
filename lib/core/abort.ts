/** Those who wait for each signal. */
const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `listener` when the signal aborts. However many wait for one signal, it has a single listener of ours: Node
 * takes eleven for a leak, and says so on the console. Those who came last are called first, so that nobody moves
 * up in a line only to leave it.
 */
export function onceAborted(signal: AbortSignal, listener: () => void): void {
  const listeners = waiting.get(signal);
  if (listeners) return void listeners.add(listener);
  waiting.set(signal, new Set([listener]));
  signal.addEventListener('abort', tellAll, { once: true });
}

/** Undoes {@link onceAborted}. */
export function forgetAbort(signal: AbortSignal, listener: () => void): void {
  const listeners = waiting.get(signal);
  if (!listeners?.delete(listener) || listeners.size > 0) return;
  waiting.delete(signal);
  signal.removeEventListener('abort', tellAll);
}

function tellAll(this: AbortSignal): void {
  const listeners = waiting.get(this) ?? [];
  waiting.delete(this);
  for (const listener of [...listeners].reverse()) listener();
}

/** What the promise comes to; undefined when the signal aborts first. */
export function unlessAborted<T>(
  signal: AbortSignal | undefined,
  promise: Promise<T>,
): Promise<T | undefined> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => resolve(undefined);
    onceAborted(signal, onAbort);
    promise.then(resolve, reject).finally(() => forgetAbort(signal, onAbort));
  });
}
