import type { LockMode, NodeHealth } from '../lock-backend.js';
import type { RedisNode } from './redis-client.js';
import type { Ear, Listener } from './redis-ear.js';

/** The servers behind a client, in whatever topology. */
export interface RedisServers {
  /** For people; never with credentials. */
  readonly address: string;
  /** The connections to those that take writes, as far as they are known. */
  primaries(): readonly RedisNode[];
  /** Rejects, in a sentence, servers that cannot keep locks; resolves with what had better be known of them. */
  check(): Promise<readonly Error[]>;
  /** Where the last fence of this lock is remembered. */
  fenceName(key: string): string;
  /**
   * What a step names besides the lock, whose mode is that, or not known. A cluster that is moving the keys of a lock
   * one by one then sees that some are elsewhere and refuses the step; else it would look for all of them where the
   * first one is missed, and find nothing.
   */
  witnesses(key: string, mode?: LockMode): readonly string[];
  /** The connection over which a step on this lock goes; undefined when it is not known. */
  nodeOf(key: string): RedisNode | undefined;
  /** Whether a server may pass a step on to another one. */
  readonly redirects: boolean;
  /** Steps on locks of different slots cannot be one script. */
  slotOf(key: string): number;
  /** Calls `changed` when a connection to a primary was lost and found again, or another server is primary. */
  watch(changed: () => void): void;
  unwatch(): Promise<void>;
  ear(listener: Listener): Ear;
  /** All at once, each within `limitMs`. Never rejects. */
  health(limitMs?: number): Promise<readonly NodeHealth[]>;
}
