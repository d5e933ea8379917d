import { LockConfigurationError, LockKeyError, show } from '../core/errors.js';
import { KeyTemplate, type Placeholder } from '../core/key-template.js';
import type { Keys } from '../core/key.js';
import { keyParamsOf } from './key-param.decorator.js';
import { originalOf, type Method } from './method-wrapper.js';
import { parametersOf, type Parameters } from './parameter-names.js';

/** How the key of a call is made: a template, several, or a function of the arguments. */
export type KeySource<A extends readonly unknown[] = readonly never[]> =
  string | readonly string[] | ((...args: A) => Keys);

/** Makes the keys of one call from its arguments. */
export type KeyMaker = (args: readonly unknown[]) => Keys;

/** The value of a placeholder, among the arguments of one call. */
type Pick = (args: readonly unknown[]) => unknown;

/**
 * Prepares the keys of a method, once, at its definition.
 *
 * @throws LockConfigurationError when a template is wrong, or names no parameter
 */
export function methodKeys(
  source: KeySource,
  method: Method,
  target: object,
  property: string | symbol,
  site: string,
): KeyMaker {
  if (typeof source === 'function') {
    const make = source as (...args: readonly unknown[]) => Keys;
    return (args) => make(...args);
  }
  const texts = typeof source === 'string' ? [source] : source;
  if (!Array.isArray(texts) || texts.length === 0 || texts.some((text) => typeof text !== 'string')) {
    throw new LockConfigurationError(
      `The key of the lock on ${site} is ${show(source)}; give a text like 'order:<id>', a list of them, or a function of the arguments.`,
    );
  }
  const pickFor = picks(originalOf(method), keyParamsOf(target, property), site);
  const templates = (texts as readonly string[]).map((text) => {
    const template = new KeyTemplate(text, site);
    const picked = new Map(template.placeholders.map((placeholder) => [placeholder, pickFor(placeholder)]));
    return (args: readonly unknown[]) => template.fill((placeholder) => picked.get(placeholder)?.(args));
  });
  const [only] = templates;
  return typeof source === 'string' && only ? only : (args) => templates.map((fill) => fill(args));
}

/** By `@KeyParam`, else by position, else by the parameter's own name. `...rest` is the list of all from there on. */
function picks(
  method: Method,
  marked: ReadonlyMap<string, number>,
  site: string,
): (placeholder: Placeholder) => Pick {
  const parameters = parametersOf(method);
  const names = parameters?.names ?? [];
  return ({ head, text }) => {
    if (/^\d+$/.test(head)) return pickPosition(Number(head), text, parameters, site);
    const index = marked.get(head) ?? names.indexOf(head);
    if (index < 0) throw noParameter(text, head, site, [...names, ...marked.keys()]);
    return index === parameters?.rest ? (args) => args.slice(index) : (args) => args[index];
  };
}

function pickPosition(index: number, text: string, parameters: Parameters | null, site: string): Pick {
  if (!parameters || parameters.rest !== undefined || index < parameters.names.length) {
    return (args) => args[index];
  }
  throw new LockConfigurationError(
    `${text} in the key of the lock on ${site} is beyond its parameters (there are ${parameters.names.length}); the first one is <0>.`,
  );
}

function noParameter(
  text: string,
  head: string,
  site: string,
  names: readonly (string | undefined)[],
): LockConfigurationError {
  const known = names.filter((name) => name !== undefined).join(', ') || 'none';
  return new LockConfigurationError(
    `${text} in the key of the lock on ${site} names no parameter (there are: ${known}). Correct the name; if a minifier renames parameters, mark the parameter with @KeyParam('${head}') or write its position, like <0>.`,
  );
}

/** The keys of one call, checked to be keys whatever a user's function made of them. */
export function keysOf(make: KeyMaker, args: readonly unknown[], site: string): Keys {
  const keys: unknown = make(args);
  if (typeof keys === 'string' || Array.isArray(keys)) return keys as Keys;
  throw new LockKeyError(
    `The key function of ${site} returned ${show(keys)}; it has to return a text or a list of texts. Nothing has run.`,
  );
}
