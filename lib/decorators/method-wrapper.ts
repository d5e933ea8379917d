/** A method as decorators see it. */
export type Method = (this: object, ...args: unknown[]) => unknown;

const SHARED = Symbol.for('nestjs-interlock.originals');
const shared = globalThis as { [SHARED]?: WeakMap<object, Method> };
/** What each wrapper wraps; one for the process, though this package may be loaded twice. */
const originals = (shared[SHARED] ??= new WeakMap());

/**
 * Puts `around` in the place of a method. The result has the name, the length and all metadata of the method,
 * so that decorators see no difference, whether they stand above or below.
 */
export function wrapMethod(method: Method, around: (self: object, args: unknown[]) => unknown): Method {
  const wrapper = new Proxy(method, {
    apply: (_target, self: object, args: unknown[]) => around(self, args),
  });
  // Reflect metadata goes by identity, and a proxy has one of its own
  for (const key of Reflect.getOwnMetadataKeys(method) as unknown[]) {
    Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, method), wrapper);
  }
  originals.set(wrapper, method);
  return wrapper;
}

/** The method as its author wrote it, below all wrappers of ours. */
export function originalOf(method: Method): Method {
  let original = method;
  for (let below = originals.get(original); below; below = originals.get(original)) original = below;
  return original;
}
