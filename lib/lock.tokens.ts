import { LockConfigurationError, show } from './core/errors.js';

const DEFAULT = 'nestjs-interlock.locks';

/**
 * The injection token of a lock service: of the one without a name, for which the class `LockService` stands
 * as well, or of the one that was set up with that `name`. Needed to replace a service in a test, or to inject
 * it into a factory; classes use {@link InjectLocks}.
 *
 * @example
 * { provide: Billing, inject: [lockServiceToken('billing')], useFactory: (locks: LockService) => new Billing(locks) }
 */
export function lockServiceToken(name?: string): symbol {
  // Symbol.for: this package may be loaded twice, as ES module and as CommonJS
  return Symbol.for(name === undefined ? DEFAULT : `${DEFAULT}:${checkName(name)}`);
}

/** Whether it is one that {@link lockServiceToken} makes. */
export function isLockServiceToken(token: unknown): token is symbol {
  const name = typeof token === 'symbol' ? Symbol.keyFor(token) : undefined;
  return name === DEFAULT || name?.startsWith(`${DEFAULT}:`) === true;
}

/** @throws LockConfigurationError when it cannot name a lock service */
export function checkName(name: unknown): string {
  if (typeof name === 'string' && /^[\w.-]{1,64}$/.test(name)) return name;
  throw new LockConfigurationError(
    `The name of a lock service is ${show(name)}; give 1 to 64 letters, digits or any of _ . -, or leave it out for the default one.`,
  );
}
