import { durationMs, type Duration } from '../core/duration.js';
import { LockConfigurationError, show } from '../core/errors.js';
import { refuseUnknown } from '../core/options.js';
import { checkGroup } from '../leadership/leadership-settings.js';

/** How a number of shards is spread over replicas. */
export interface ShardOptions {
  /** What all replicas call it. */
  readonly group: string;
  /** How many shards there are, the same on all replicas. 1 to 1024. */
  readonly shards: number;
  /**
   * How long the shards of a replica that is not heard of any more are kept from the others; every quarter of that, each
   * replica looks who is there. Default '10s'.
   */
  readonly ttl?: Duration;
}

/** Options with everything said, and checked. */
export interface ShardSettings {
  readonly group: string;
  readonly shards: number;
  readonly ttlMs: number;
  readonly lookMs: number;
  /** How long a shard is kept for work that was told to stop. */
  readonly handoverMs: number;
}

const NAMES: ReadonlySet<string> = new Set(['group', 'shards', 'ttl']);
const TTL = { minMs: 200, maxMs: 3_600_000 };
const MOST_SHARDS = 1_024;

/** @throws LockConfigurationError that says which option is wrong, and how */
export function shardSettings(options: ShardOptions): ShardSettings {
  refuseUnknown('option of shards, though: option', options, NAMES);
  const { shards, ttl = '10s' } = options;
  const group = checkGroup(options.group);
  if (!Number.isInteger(shards) || shards < 1 || shards > MOST_SHARDS) {
    throw new LockConfigurationError(
      `shards of "${group}" is ${show(shards)}; give a whole number from 1 to ${MOST_SHARDS}.`,
    );
  }
  const ttlMs = durationMs(`ttl of the shards "${group}"`, ttl, TTL);
  return { group, shards, ttlMs, lookMs: ttlMs / 4, handoverMs: ttlMs / 2 };
}

/**
 * How many shards the replica with that many older ones before it has, of so many replicas: the sum over all is exactly
 * the number of shards, and no two differ by more than one. When another one joins, which is the youngest, nobody's share
 * grows, and when one leaves, nobody's share shrinks: so only those shards move that have to.
 */
export function quota(shards: number, older: number, replicas: number): number {
  return Math.ceil(Math.max(0, shards - older) / Math.max(1, replicas));
}
