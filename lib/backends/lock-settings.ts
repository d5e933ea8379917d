import { durationMs, type Duration } from '../core/duration.js';

const DELAY = { minMs: 0, maxMs: 3_600_000 };

/** @throws LockConfigurationError when it is no duration of up to an hour */
export function lockDelayMsOf({ lockDelay = 0 }: { readonly lockDelay?: Duration }): number {
  return durationMs('lockDelay', lockDelay, DELAY);
}

/** The given options without those of these names: what is left for the client. */
export function without(names: ReadonlySet<string>, given: object = {}): Record<string, unknown> {
  return Object.fromEntries(Object.entries(given).filter(([name]) => !names.has(name)));
}
