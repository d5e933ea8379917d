import { Inject, Optional } from '@nestjs/common';
import { LockConfigurationError } from '../core/errors.js';
import type { LockService } from '../lock.service.js';
import { lockServiceToken } from '../lock.tokens.js';

/** The property of decorated instances by which Nest hands them their lock service; the token is its key too. */
type Bearer = { [token: symbol]: unknown };

/** Asks Nest to hand a lock service to every instance of the class. */
export function requestLocks(prototype: object, name: string | undefined): void {
  requestService(prototype, lockServiceToken(name));
}

/** Asks Nest to hand a service to every instance of the class, however it is scoped; once a class and service. */
export function requestService(prototype: object, token: symbol): void {
  if (Object.hasOwn(prototype, token)) return;
  Object.defineProperty(prototype, token, {
    configurable: true,
    get: () => undefined,
    // Nest assigns; a plain property would be in the way of everybody who prints or compares instances
    set(this: object, service: unknown) {
      setService(this, token, service);
    },
  });
  Inject(token)(prototype, token);
  Optional()(prototype, token);
}

export function setService(instance: object, token: symbol, service: unknown): void {
  // writable: Nest 11 assigns once more for each subclass with locks of its own, and to what it resolves anew
  Object.defineProperty(instance, token, { value: service, configurable: true, writable: true });
}

/** The service that has reached an instance; undefined when none has. */
export function serviceOf(instance: unknown, token: symbol): unknown {
  return typeof instance === 'object' && instance !== null ? (instance as Bearer)[token] : undefined;
}

/** @throws LockConfigurationError that says why there is none: nothing guarded may run then */
export function locksOf(instance: unknown, name: string | undefined, site: string): LockService {
  const token = lockServiceToken(name);
  const service = serviceOf(instance, token);
  if (service === undefined || service === null) throw missing(instance, name, site);
  if (typeof (service as Partial<LockService>).run === 'function') return service as LockService;
  throw new LockConfigurationError(
    `${site} is guarded by a lock, but what is provided as ${String(token)} is no LockService. Provide one; for tests there is LockTestingModule in nestjs-interlock/testing. Nothing has run.`,
  );
}

/** Why no service has reached an instance. */
export function missing(instance: unknown, name: string | undefined, site: string): LockConfigurationError {
  if (typeof instance !== 'object' || instance === null) {
    return new LockConfigurationError(
      `${site} is guarded by a lock, but was called without its instance as "this", so there is no lock service. Call it as a method, or bind it. Nothing has run.`,
    );
  }
  const module = name === undefined ? 'LockModule.forRoot()' : `LockModule.forRoot({ name: '${name}' })`;
  return new LockConfigurationError(
    `${site} is guarded by a lock, but no lock service has reached this instance: either no module imports ${module}, or the instance was not made by Nest (by "new" or in a factory), or its constructor calls the method. Import the module and let Nest make the instance; in unit tests use provideLocks() of nestjs-interlock/testing. Nothing has run.`,
  );
}
