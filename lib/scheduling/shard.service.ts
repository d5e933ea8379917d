import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { LockConfigurationError } from '../core/errors.js';
import type { LockService } from '../lock.service.js';
import type { ScheduledCall } from './repeats.js';
import { ShardGroup } from './shard-group.js';
import { shardSettings, type ShardOptions } from './shard-settings.js';
import type { Shard } from './shard.js';

/** One call of a method that works on shards. */
export interface ShardedCall {
  readonly site: string;
  readonly group: string;
  /** The guarded method: two runs of it never work on one shard. */
  readonly guard: object;
  readonly body: (shards: readonly Shard[]) => unknown;
  /** When it is a schedule that calls. */
  readonly scheduled: ScheduledCall | undefined;
}

/**
 * Spreads numbered shards evenly over the replicas that live, each of them in one hand at a time, with a lease and a
 * fence of its own.
 */
@Injectable()
export class ShardService implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly groups = new Map<string, ShardGroup>();
  private state: 'new' | 'running' | 'closing' = 'new';

  /** @internal */
  constructor(private readonly locks: LockService) {}

  /**
   * Takes part in a group, from the bootstrap of the application on; what `@Sharded` does by itself.
   *
   * @throws LockConfigurationError when the options are wrong, or others than before for the same group
   */
  join(options: ShardOptions): void {
    const settings = shardSettings(options);
    const { group, shards, ttlMs } = settings;
    const known = this.groups.get(group)?.settings;
    if (known) {
      if (known.shards === shards && known.ttlMs === ttlMs) return;
      throw new LockConfigurationError(
        `The shards "${group}" are ${known.shards} with a ttl of ${known.ttlMs} ms in one place and ${shards} with ${ttlMs} ms in another; say the same in both.`,
      );
    }
    const { traits } = this.locks;
    if (!traits.modes.includes('shared')) {
      throw new LockConfigurationError(
        `The backend "${traits.name}" has no shared locks, by which the replicas of the shards "${group}" know each other; use another backend for them.`,
      );
    }
    const made = new ShardGroup(this.locks, settings);
    this.groups.set(group, made);
    if (this.state === 'running') made.start();
  }

  /**
   * The shards of this replica, by the clock as it is now; none before the application runs.
   *
   * @throws LockConfigurationError when nothing has joined that group
   */
  owned(group: string): readonly Shard[] {
    return this.groupOf(group).owned;
  }

  /** @internal Works on those shards that no earlier run of the same method works on. */
  async run(call: ShardedCall): Promise<unknown> {
    const { site, group, guard, body, scheduled } = call;
    const { jobs } = this.locks;
    const refusal = scheduled && jobs.refusal(scheduled);
    if (refusal !== undefined) return this.skip(call, refusal);
    const owned = this.groupOf(group, site).owned;
    if (owned.length === 0) return this.skip(call, 'this replica owns no shards');
    const free = owned.filter((shard) => !shard.isOccupied(guard));
    if (free.length === 0) return this.skip(call, 'its last run works on all of the shards still');
    const work = async (): Promise<unknown> => body(free);
    const result = scheduled ? jobs.run(work) : work();
    for (const shard of free) shard.occupy(result, guard);
    return result;
  }

  onApplicationBootstrap(): void {
    if (this.state !== 'new') return;
    this.state = 'running';
    for (const group of this.groups.values()) group.start();
  }

  /** Jobs end first; then all shards go to the others. */
  async onModuleDestroy(): Promise<void> {
    if (this.state === 'closing') return;
    this.state = 'closing';
    await this.locks.jobs.drain();
    await Promise.all([...this.groups.values()].map((group) => group.close()));
  }

  private groupOf(name: string, site?: string): ShardGroup {
    const group = this.groups.get(name);
    if (group) return group;
    const where = site === undefined ? '' : ` for ${site}`;
    throw new LockConfigurationError(
      `Nothing has joined the shards "${name}"${where}: put @Sharded on a method of a provider, or call ShardService.join. Nothing has run.`,
    );
  }

  private skip({ site, group }: ShardedCall, why: string): undefined {
    return this.locks.skip(site, `shards:${group}`, why);
  }
}
