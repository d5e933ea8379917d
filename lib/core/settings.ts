import { hostname } from 'node:os';
import { durationMs, type Duration } from './duration.js';
import { systemClock, type Clock } from './clock.js';
import { LockConfigurationError, show } from './errors.js';
import { checkPrefix } from './key.js';
import { defaultTerms, refuseUnknown } from './options.js';

/** What a service is set up with; all of it has a default. */
export interface LockSettings {
  /**
   * Separates the locks of applications that share a server. Letters, digits and `_ . / @ -`.
   * Default 'interlock'.
   */
  readonly prefix?: string;
  /** Who we are, for people who ask who holds a lock. Default: host name and process id. */
  readonly identity?: string;
  /** Default of the option of the same name: '30s'. */
  readonly ttl?: Duration;
  /** Default of the option of the same name: '5s'. */
  readonly wait?: Duration;
  /** How long one call to the lock server may take before its outcome counts as unknown. Default '1s'. */
  readonly callTimeout?: Duration;
  /** How long the first connection may take. Default '10s'. */
  readonly startTimeout?: Duration;
  /** How long a shutdown waits for running jobs, and then for releases and clean-up. Default '5s' each. */
  readonly shutdownTimeout?: Duration;
  /** Where time comes from. Default: the machine's. */
  readonly clock?: Clock;
}

export interface ResolvedSettings {
  readonly prefix: string;
  readonly identity: string;
  readonly ttlMs: number;
  readonly waitMs: number;
  readonly callTimeoutMs: number;
  readonly startTimeoutMs: number;
  readonly shutdownTimeoutMs: number;
  readonly clock: Clock;
}

const NAMES: ReadonlySet<string> = new Set([
  'prefix',
  'identity',
  'ttl',
  'wait',
  'callTimeout',
  'startTimeout',
  'shutdownTimeout',
  'clock',
]);
const CALL = { minMs: 10, maxMs: 60_000 };
const LIFECYCLE = { minMs: 0, maxMs: 600_000 };

/** @throws LockConfigurationError that says which setting is wrong, and how */
export function settingsOf(given: LockSettings): ResolvedSettings {
  refuseUnknown('setting', given, NAMES);
  return {
    prefix: checkPrefix(given.prefix ?? 'interlock'),
    identity: checkIdentity(
      given.identity ?? `${hostname()}:${process.pid}`.replace(/[^\w.:@-]/g, '-').slice(-64),
    ),
    ...defaultTerms(given.ttl ?? 30_000, given.wait ?? 5_000),
    callTimeoutMs: durationMs('callTimeout', given.callTimeout ?? 1_000, CALL),
    startTimeoutMs: durationMs('startTimeout', given.startTimeout ?? 10_000, LIFECYCLE),
    shutdownTimeoutMs: durationMs('shutdownTimeout', given.shutdownTimeout ?? 5_000, LIFECYCLE),
    clock: given.clock ?? systemClock,
  };
}

function checkIdentity(identity: unknown): string {
  if (typeof identity === 'string' && /^[A-Za-z0-9_.:@-]{1,64}$/.test(identity)) return identity;
  throw new LockConfigurationError(
    `identity is ${show(identity)}; give 1 to 64 letters, digits or any of _ . : @ - to name this replica.`,
  );
}
