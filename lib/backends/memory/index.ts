import type { Clock } from '../../core/clock.js';
import type { Duration } from '../../core/duration.js';
import type { LockBackend } from '../lock-backend.js';
import { lockDelayMsOf } from '../lock-settings.js';
import { MemoryBackend } from './memory-backend.js';
import { MemoryServer } from './memory-server.js';

export { MemoryServer } from './memory-server.js';

/** The options of {@link memory}. */
export interface MemoryOptions {
  /** The time by which leases expire. Default: the clock of the first service that starts the backend. */
  readonly clock?: Clock;
  /** The state to work on, to share it between several backends of one process. Default: a new one. */
  readonly server?: MemoryServer;
  /**
   * How long a key stays closed after the death of a holder: when its lease runs out, not when it is released.
   * At most an hour. Default 0.
   */
  readonly lockDelay?: Duration;
}

/**
 * Locks inside one process, without a server, by the same rules as on one: a first-come line, all three modes,
 * leases that expire, strictly rising fences. The default, for development, tests and single-process applications.
 *
 * Services that are given the same instance exclude each other.
 *
 * @throws LockConfigurationError when the `lockDelay` is none
 *
 * @example
 * LockModule.forRoot({ backend: memory() })
 */
export function memory(options: MemoryOptions = {}): LockBackend {
  const server = options.server ?? new MemoryServer(options.clock ? { clock: options.clock } : {});
  return new MemoryBackend(server, lockDelayMsOf(options));
}
