import { Inject } from '@nestjs/common';
import { lockServiceToken } from '../lock.tokens.js';

/**
 * Injects a `LockService` by the name under which its module was set up; without a name, the default one.
 *
 * @example
 * constructor(@InjectLocks('billing') private readonly locks: LockService) {}
 */
export function InjectLocks(name?: string): PropertyDecorator & ParameterDecorator {
  return Inject(lockServiceToken(name));
}
