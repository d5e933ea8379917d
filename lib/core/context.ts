import { AsyncLocalStorage } from 'node:async_hooks';
import type { Hold } from './hold.js';
import type { Lease } from './lease.js';

/** The stretch of a program in which a lock is held: the callback of `using`, the body of `@Locked`. */
export interface Scope {
  readonly lease: Lease;
  /** By canonical key. */
  readonly holds: ReadonlyMap<string, Hold>;
  /** Whose locks these are; two services with the same keys have nothing in common. */
  readonly service: object;
  readonly outer: Scope | undefined;
  /** False once the callback has ended: a context that escaped into a timer is no owner. */
  open: boolean;
}

const SHARED = Symbol.for('nestjs-interlock.context');
const shared = globalThis as { [SHARED]?: AsyncLocalStorage<Scope> };
/** One for the whole process, though this package may be loaded twice (ES module and CommonJS). */
const storage = (shared[SHARED] ??= new AsyncLocalStorage<Scope>());

export function runInScope<T>(scope: Scope, body: () => T): T {
  return storage.run(scope, body);
}

export function currentScope(): Scope | undefined {
  let scope = storage.getStore();
  while (scope && !scope.open) scope = scope.outer;
  return scope;
}

/** The hold on that key by which this asynchronous context is its owner. */
export function holdInScope(service: object, key: string): Hold | undefined {
  for (let scope = storage.getStore(); scope; scope = scope.outer) {
    if (!scope.open || scope.service !== service) continue;
    const hold = scope.holds.get(key);
    if (hold && hold.state !== 'released') return hold;
  }
  return undefined;
}

/**
 * The lease of the innermost `using`, `@Locked` or lock interceptor around the caller; undefined outside of
 * them, and after they have ended.
 */
export function currentLease(): Lease | undefined {
  return currentScope()?.lease;
}
