import { LockConfigurationError, show } from '../core/errors.js';
import { recordGuard, type GuardKind } from '../guard-record.js';
import { checkGroup } from '../leadership/leadership-settings.js';
import { siteOf } from './site.js';

/** The options of `@OnElected` and `@OnDeposed`. */
export interface ElectionListenerOptions {
  /** The `name` of the lock service whose elections count. Default: the one without a name. */
  readonly locks?: string;
}

/** Notes that a method wants to be told of elections; it stays as it is. */
export function electionListener(
  decorator: string,
  kind: Extract<GuardKind, 'on-elected' | 'on-deposed'>,
  group: string,
  { locks }: ElectionListenerOptions,
): MethodDecorator {
  return (target, property, descriptor: PropertyDescriptor) => {
    const site = siteOf(target, property);
    if (typeof descriptor.value !== 'function' || typeof target === 'function') {
      throw new LockConfigurationError(
        `${decorator} is on ${site}, which is ${typeof target === 'function' ? 'static' : show(descriptor.value)}; put it on a method of a provider's instances, with parentheses: ${decorator}().`,
      );
    }
    recordGuard(target, { kind, property, subject: checkGroup(group), locks });
  };
}
