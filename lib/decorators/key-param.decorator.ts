import { LockConfigurationError, show } from '../core/errors.js';
import { siteOf } from './site.js';

const KEY_PARAMS = Symbol.for('nestjs-interlock.key-params');

/**
 * Names a parameter for the key templates of `@Locked` on the same method, whatever a minifier makes of the
 * parameter's own name.
 *
 * @example
 * @Locked('seat:<seat>')
 * sell(@KeyParam('seat') seatId: string) {}
 */
export function KeyParam(name: string): ParameterDecorator {
  return (target, property, index) => {
    const site = siteOf(target, property ?? 'constructor');
    if (typeof name !== 'string' || !/^[^<>.\s\d][^<>.\s]*$/.test(name)) {
      throw new LockConfigurationError(
        `@KeyParam on ${site} has the name ${show(name)}; give one that can stand in <…>: no digit first, no dot, no space.`,
      );
    }
    if (property === undefined) {
      throw new LockConfigurationError(
        `@KeyParam('${name}') is on a constructor of ${site}, which no lock guards; put it on a parameter of a method.`,
      );
    }
    const known = keyParamsOf(target, property);
    if (known.has(name)) {
      throw new LockConfigurationError(
        `Two parameters of ${site} are marked @KeyParam('${name}'); give each its own name.`,
      );
    }
    Reflect.defineMetadata(KEY_PARAMS, new Map([...known, [name, index]]), target, property);
  };
}

/** The positions of the parameters that are marked on this class's own method, by name. */
export function keyParamsOf(target: object, property: string | symbol): ReadonlyMap<string, number> {
  const known: unknown = Reflect.getOwnMetadata(KEY_PARAMS, target, property);
  return known instanceof Map ? (known as ReadonlyMap<string, number>) : new Map();
}
