/**
 * The keys of one lock on the server. All of them start with the lock's name in braces, which is a hash tag:
 * in a cluster they share a slot. The scripts derive the others from this one.
 */
export function lockName(key: string): string {
  return `{${key}}`;
}

/** Where those are that hold it together. */
export function holdersName(key: string): string {
  return `{${key}}:held`;
}

/** Where the last fence is remembered: one name for all locks of a prefix, so that it costs no memory per lock. */
export function fenceName(key: string): string {
  return `{${prefixOf(key)}}:fence`;
}

/** The module's own prefix. */
export function prefixOf(key: string): string {
  const end = key.indexOf(':');
  return end < 0 ? key : key.slice(0, end);
}

/** The lock that a key on the server belongs to; undefined when it is none of ours. */
export function lockOf(name: string): string | undefined {
  return /^\{([^{}]+)\}(?::(?:held|line))?$/.exec(name)?.[1];
}

/** The pattern of a scan that finds all locks whose key starts with `prefix`. */
export function lockPattern(clientPrefix: string, prefix: string): string {
  return `${`${clientPrefix}{${prefix}`.replace(/[\\*?[\]]/g, '\\$&')}*`;
}
