import { Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import type { NodeHealth } from '../backends/lock-backend.js';
import { errorMessage } from '../core/errors.js';
import type { HealthOptions, LockHealth } from '../core/health.js';
import type { LockService } from '../lock.service.js';
import { lockServiceToken } from '../lock.tokens.js';

/** How the health indicator asks the locks. */
export interface LockHealthOptions extends HealthOptions {
  /** The `name` of the lock service. Default: the one without a name. */
  readonly locks?: string;
}

/** What stands beside `status` in the entry of a lock service. */
export interface LockHealthDetails {
  /** The name of the backend. */
  readonly backend?: string;
  /** How long it took to find out, in milliseconds. */
  readonly latencyMs?: number;
  /** A sentence, when it is not up. */
  readonly message?: string;
  /** Each server behind the locks. */
  readonly nodes?: readonly NodeHealth[];
  /** True when the status is `up` because this Terminus (11) has no `degraded`. */
  readonly degraded?: true;
}

/** Terminus 11 leaves out whatever is neither up nor down. */
const KNOWS_DEGRADED = 'degraded' in new HealthIndicatorService().check('locks');

/**
 * Tells Terminus how the servers behind the locks are.
 *
 * @example
 * this.health.check([() => this.locks.isHealthy('locks')])
 */
@Injectable()
export class LockHealthIndicator {
  constructor(private readonly modules: ModuleRef) {}

  /**
   * All servers up: `up`. Locks work but a server is missing: `degraded` with Terminus 12, `up` with
   * `degraded: true` with Terminus 11. Otherwise `down`. Never rejects, and is never slower than its time-out.
   *
   * @param key the name of the entry in the answer
   */
  async isHealthy<const Key extends string>(
    key: Key,
    options: LockHealthOptions = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const { locks, ...rest } = options;
    try {
      const service = this.modules.get<LockService>(lockServiceToken(locks), { strict: false });
      return entry(key, await service.health(rest));
    } catch (error) {
      // a wrong option, or no lock service: a probe is no place to throw
      return result(key, 'down', { message: errorMessage(error) });
    }
  }
}

function entry<Key extends string>(key: Key, health: LockHealth): HealthIndicatorResult<Key> {
  const { status, backend, latencyMs, nodes, error } = health;
  const details = { backend, latencyMs, ...(error !== undefined && { message: error }), nodes };
  if (status !== 'degraded' || KNOWS_DEGRADED) return result(key, status, details);
  return result(key, 'up', { degraded: true, ...details });
}

/** As both lines of Terminus read it. */
function result<Key extends string>(
  key: Key,
  status: LockHealth['status'],
  details: LockHealthDetails,
): HealthIndicatorResult<Key> {
  return { [key]: { status, ...details } } as HealthIndicatorResult<Key>;
}
