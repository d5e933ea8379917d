import { LockConfigurationError, show } from '../core/errors.js';
import type { Method } from './method-wrapper.js';

/**
 * The method that a decorator stands on.
 *
 * @param decorator how it is written: `@Locked('key')`
 * @throws LockConfigurationError when it is none that could be guarded
 */
export function guardedMethod(
  decorator: string,
  target: object,
  descriptor: { readonly value?: unknown } | undefined,
  site: string,
): Method {
  const name = nameOf(decorator);
  const value = descriptor?.value;
  if (typeof value !== 'function') {
    throw new LockConfigurationError(
      `${name} is on ${site}, which is ${show(value)}; put it on a method, with parentheses: ${decorator}.`,
    );
  }
  if (typeof target === 'function') {
    throw new LockConfigurationError(
      `${name} is on ${site}, but Nest hands its services to instances; make it an instance method, or use ${byHand(name)}.`,
    );
  }
  refuseGenerator(decorator, value, site);
  return value as Method;
}

/** Its work would begin when somebody iterates, long after the lock was given back. */
export function refuseGenerator<T>(decorator: string, value: T, site: string): T {
  if (!/Generator/.test(Object.prototype.toString.call(value))) return value;
  throw new LockConfigurationError(
    `${nameOf(decorator)} is on ${site}, and a generator works only while somebody iterates, without the lock by then; let the method return a Promise or an Observable.`,
  );
}

function nameOf(decorator: string): string {
  return decorator.replace(/\(.*$/, '');
}

function byHand(name: string): string {
  return name === '@Locked' ? 'LockService.using' : 'LockService and LeaderService';
}
