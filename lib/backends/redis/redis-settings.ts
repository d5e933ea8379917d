import { durationMs, type Duration } from '../../core/duration.js';
import { LockConfigurationError, show } from '../../core/errors.js';
import { lockDelayMsOf, without } from '../lock-settings.js';

/** What the locks on a server mean, and cost. */
export interface RedisLockSettings {
  /**
   * How long a key stays closed after the death of a holder, for resources that cannot check a fence: when its lease
   * runs out, not when it is released. At most an hour. Default 0.
   */
  readonly lockDelay?: Duration;
  /** So many replicas have to acknowledge a grant, and each renewal, before it counts. Default 0. */
  readonly replicas?: number;
  /** How long the replicas are waited for; at most a fifth of the ttl. Default '500ms'. */
  readonly replicaTimeout?: Duration;
}

export interface ResolvedLockSettings {
  readonly lockDelayMs: number;
  readonly replicas: number;
  readonly replicaTimeoutMs: number;
}

const OURS: ReadonlySet<string> = new Set(['lockDelay', 'replicas', 'replicaTimeout']);
const REPLICA_TIMEOUT = { minMs: 10, maxMs: 60_000 };
const MOST_REPLICAS = 100;

/** @throws LockConfigurationError that says which setting is wrong, and how */
export function lockSettingsOf(given: RedisLockSettings = {}): ResolvedLockSettings {
  return {
    lockDelayMs: lockDelayMsOf(given),
    replicas: replicasOf(given.replicas ?? 0),
    replicaTimeoutMs: durationMs('replicaTimeout', given.replicaTimeout ?? 500, REPLICA_TIMEOUT),
  };
}

/** What is left of the options for the client. */
export function withoutLockSettings(given?: object): Record<string, unknown> {
  return without(OURS, given);
}

function replicasOf(replicas: unknown): number {
  if (
    typeof replicas === 'number' &&
    Number.isInteger(replicas) &&
    replicas >= 0 &&
    replicas <= MOST_REPLICAS
  )
    return replicas;
  throw new LockConfigurationError(
    `replicas is ${show(replicas)}; give a whole number of replicas that have to acknowledge a grant, or 0.`,
  );
}
