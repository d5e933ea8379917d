import { AsyncResource } from 'node:async_hooks';
import type { LockSnapshot } from '../backends/lock-backend.js';
import type { Clock } from '../core/clock.js';
import { errorMessage, LockTimeoutError, LockUnavailableError } from '../core/errors.js';
import type { HeldLease } from '../core/lease.js';
import type { LockOptions } from '../core/options.js';
import { pause, settledWithin } from './bounded.js';
import { quota, type ShardSettings } from './shard-settings.js';
import { OwnedShard } from './shard.js';

/** What the shards of a group need of the lock service. */
export interface ShardHost {
  readonly clock: Clock;
  contest(key: string, options: LockOptions): Promise<HeldLease>;
  inspect(key: string): Promise<LockSnapshot | null>;
  warn(message: string): void;
}

/**
 * The part of one replica in the shards of a group.
 *
 * Every replica holds a shared lock on the group, so that the holders of that lock are the replicas that live, in the
 * order of their fences: the order in which they came. From their number and its own place each knows its share, without
 * anybody to lead: it gives back what is above it, and takes free shards up to it. Each shard is an exclusive lock, so
 * whatever the replicas believe of one another, none has two owners.
 */
export class ShardGroup {
  private readonly shards = new Map<number, OwnedShard>();
  private readonly closing = new AbortController();
  private readonly root = new AsyncResource('nestjs-interlock.shards');
  private membership: HeldLease | undefined;
  private living: Promise<void> | undefined;
  private readonly giving = new Set<Promise<void>>();
  private warned = '';

  constructor(
    private readonly host: ShardHost,
    readonly settings: ShardSettings,
  ) {}

  /** Those that this replica owns, by the clock as it is now. */
  get owned(): readonly OwnedShard[] {
    return [...this.shards.values()].filter(({ owned }) => owned).sort((a, b) => a.index - b.index);
  }

  start(): void {
    this.living ??= this.root.runInAsyncScope(() => this.live());
  }

  /** Gives everything back, so that the others can have it at once. */
  async close(): Promise<void> {
    this.closing.abort();
    await this.living;
    await this.leave();
  }

  private async live(): Promise<void> {
    const { signal } = this.closing;
    const { clock } = this.host;
    while (!signal.aborted) {
      try {
        await this.balance();
        this.warned = '';
      } catch (error) {
        this.warn(error);
      }
      await pause(clock, this.settings.lookMs, signal);
    }
  }

  /** One look at who is there, and what follows from it. */
  private async balance(): Promise<void> {
    for (const shard of this.shards.values()) if (!shard.owned) this.giveAway(shard);
    const share = await this.share();
    if (this.closing.signal.aborted || share === undefined) return;
    const surplus = this.owned.slice(share);
    for (const shard of surplus) this.giveAway(shard);
    if (surplus.length === 0) await this.take(share);
  }

  /** How many shards are ours; undefined when we were not counted. */
  private async share(): Promise<number | undefined> {
    const { group, shards, ttlMs } = this.settings;
    const key = membersKey(group);
    if (!this.membership?.held) {
      await this.membership?.[Symbol.asyncDispose]();
      this.membership = undefined;
      this.membership = await this.host.contest(key, {
        mode: 'shared',
        ttl: ttlMs,
        wait: 0,
        pattern: key,
      });
    }
    const { fence } = this.membership;
    const holders = (await this.host.inspect(key))?.holders ?? [];
    if (!holders.some((holder) => holder.fence === fence)) return undefined;
    const older = holders.filter((holder) => holder.fence < fence).length;
    return quota(shards, older, holders.length);
  }

  /** Free shards, each replica beginning at another one, so that they seldom want the same. */
  private async take(share: number): Promise<void> {
    const { shards } = this.settings;
    const start = Number((this.membership?.fence ?? 0n) % BigInt(shards));
    for (let step = 0; step < shards && this.shards.size < share; step++) {
      if (this.closing.signal.aborted) return;
      const index = (start + step) % shards;
      if (!this.shards.has(index)) await this.tryToTake(index);
    }
  }

  private async tryToTake(index: number): Promise<void> {
    const { group, shards, ttlMs } = this.settings;
    try {
      const options = { ttl: ttlMs, wait: 0, pattern: `shard:${group}:<index>` };
      const lease = await this.host.contest(shardKey(group, index), options);
      this.shards.set(index, new OwnedShard(index, shards, group, lease));
    } catch (error) {
      if (!(error instanceof LockTimeoutError)) throw error;
    }
  }

  /** The work on it has to end first, within bounds, also when the lock is lost: we may be who takes it again. */
  private giveAway(shard: OwnedShard): void {
    const { clock } = this.host;
    if (shard.leaving) return;
    shard.leaving = true;
    const leave = async (): Promise<void> => {
      await settledWithin(clock, this.settings.handoverMs, shard.vacate());
      await shard.giveBack();
      this.shards.delete(shard.index);
    };
    const leaving = leave().finally(() => this.giving.delete(leaving));
    this.giving.add(leaving);
  }

  private async leave(): Promise<void> {
    for (const shard of this.shards.values()) this.giveAway(shard);
    await Promise.all(this.giving);
    await this.membership?.[Symbol.asyncDispose]();
  }

  /** A server that is away is away for many looks. */
  private warn(error: unknown): void {
    const message = errorMessage(error);
    if (message === this.warned) return;
    this.warned = message;
    const what = error instanceof LockUnavailableError ? 'cannot be looked after' : 'went wrong';
    this.host.warn(`The shards of "${this.settings.group}" ${what}, which is repeated: ${message}`);
  }
}

function membersKey(group: string): string {
  return `shards:${group}`;
}

function shardKey(group: string, index: number): string {
  return `shards:${group}/${index}`;
}
