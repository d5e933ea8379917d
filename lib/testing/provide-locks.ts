import { LockConfigurationError, show } from '../core/errors.js';
import { setService } from '../decorators/service-property.js';
import type { LockService } from '../lock.service.js';
import { lockServiceToken } from '../lock.tokens.js';
import { passThroughLocks } from './pass-through.js';

/**
 * Hands a lock service to an instance that was made by `new`, as Nest does to those that it makes, so that its
 * `@Locked` methods can be called in a plain unit test.
 *
 * @param locks default: {@link passThroughLocks}
 * @param name the `locks` option of the decorators that are to use it; default: those without one
 * @returns the instance
 * @throws LockConfigurationError when no method of the instance would use it
 *
 * @example
 * const orders = provideLocks(new Orders(repository));
 * await orders.settle(order);
 */
export function provideLocks<T extends object>(
  instance: T,
  locks: LockService = passThroughLocks(),
  name?: string,
): T {
  const token = lockServiceToken(name);
  if (typeof instance !== 'object' || instance === null) {
    throw new LockConfigurationError(
      `provideLocks was given ${show(instance)}; give the instance whose methods are guarded.`,
    );
  }
  if (typeof (locks as Partial<LockService> | null)?.run !== 'function') {
    throw new LockConfigurationError(
      `provideLocks was given ${show(locks)} as locks; give a LockService, like passThroughLocks() or that of a LockDriver.`,
    );
  }
  if (!(token in instance)) {
    const whose = name === undefined ? 'without the option locks' : `with { locks: '${name}' }`;
    throw new LockConfigurationError(
      `${instance.constructor.name} has no method that is guarded by @Locked ${whose}, so it has no use for these locks; correct the name, or leave it out.`,
    );
  }
  setService(instance, token, locks);
  return instance;
}
