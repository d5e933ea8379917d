import { createHash } from 'node:crypto';
import { LockConfigurationError, LockKeyError, show } from './errors.js';

/** Characters that every backend takes as they are. `~` is left out: it marks a shortened key. */
const PLAIN = /^[A-Za-z0-9_.:/@-]{1,200}$/;
const PREFIX = /^[A-Za-z0-9_./@-]{1,64}$/;
const READABLE_LENGTH = 40;

/** No colon in a prefix, else ('a', 'b:c') and ('a:b', 'c') would be one key. */
export function checkPrefix(prefix: unknown): string {
  if (typeof prefix === 'string' && PREFIX.test(prefix)) return prefix;
  throw new LockConfigurationError(
    `prefix is ${show(prefix)}; give 1 to 64 letters, digits or any of _ . / @ - (no colon: it separates the prefix from the key).`,
  );
}

/**
 * The name of a lock on every backend: `prefix:key`. A key that is long or has unusual characters becomes its
 * readable beginning, `~` and a SHA-256 over its UTF-16 code units, so that distinct keys stay distinct
 * whatever a server thinks of case, Unicode forms or length.
 *
 * @throws LockKeyError when the key is no text, or empty
 */
export function canonicalKey(prefix: string, key: unknown): string {
  if (typeof key !== 'string') {
    throw new LockKeyError(`A lock's key is a text, and this one is ${show(key)}.`);
  }
  if (PLAIN.test(key)) return `${prefix}:${key}`;
  if (key === '')
    throw new LockKeyError("A lock's key is empty; name what is to be locked, like 'order:42'.", { key });
  // utf16le, not utf8: lone surrogates would all become one replacement character
  const digest = createHash('sha256').update(Buffer.from(key, 'utf16le')).digest('hex');
  const readable = key.slice(0, READABLE_LENGTH).replace(/[^A-Za-z0-9_.:/@-]/g, '_');
  return `${prefix}:${readable}~${digest}`;
}

/** One key or several; of several, all are acquired or none. */
export type Keys = string | readonly string[];

/** A key by its two names: the canonical one, and the one that its caller wrote. */
export interface NamedKey {
  readonly key: string;
  readonly name: string;
}

/** One or several keys as given by a caller: without duplicates, in the order in which all callers take them. */
export function canonicalKeys(prefix: string, keys: unknown): readonly [NamedKey, ...NamedKey[]] {
  if (typeof keys === 'string') return [{ key: canonicalKey(prefix, keys), name: keys }];
  if (!Array.isArray(keys))
    throw new LockKeyError(`A lock's key is a text or a list of texts, and this one is ${show(keys)}.`);
  if (keys.length === 0) throw new LockKeyError('The list of keys is empty; name at least one.');
  // not keys.map, which would leave the holes of a list as they are
  const pairs = Array.from(keys, (key: unknown): [string, NamedKey] => {
    const named = { key: canonicalKey(prefix, key), name: key as string };
    return [named.key, named];
  });
  const different = [...new Map(pairs).values()];
  return different.sort((a, b) => (a.key < b.key ? -1 : 1)) as [NamedKey, ...NamedKey[]];
}
