import { Injectable } from '@nestjs/common';
import { Cron } from '@nestjs/schedule';
import {
  currentLease,
  LeaderOnly,
  Locked,
  OnDeposed,
  OncePerTick,
  OnElected,
  Sharded,
  type Leadership,
  type Shard,
} from 'nestjs-interlock';
import { setTimeout as sleep } from 'node:timers/promises';
import { Diary, nowMs, type Job } from './happening.js';

const EVERY_SECOND = '* * * * * *';
const WORK_MS = 10;

/** Four jobs, each of them on every replica, and each of them guarded in another way. */
@Injectable()
export class Jobs {
  constructor(private readonly diary: Diary) {}

  /** One replica runs all ticks, until it is gone. */
  @Cron(EVERY_SECOND)
  @LeaderOnly()
  async byTheLeader(): Promise<void> {
    await this.work('leader-only');
  }

  /** Any replica, one at a time; `minHold` keeps out those whose clocks lag. */
  @Cron(EVERY_SECOND)
  @Locked('report', { ttl: '1s', minHold: '700ms' })
  async oneAtATime(): Promise<void> {
    await this.work('locked');
  }

  /** Any replica, exactly one for each tick. */
  @Cron(EVERY_SECOND)
  @OncePerTick()
  async oncePerTick(): Promise<void> {
    await this.work('once-per-tick');
  }

  /** Every replica, each with its own part of the whole. */
  @Cron(EVERY_SECOND)
  @Sharded({ group: 'rows', shards: 8, ttl: '1s' })
  async itsPart(shards: readonly Shard[]): Promise<void> {
    await this.work('sharded', shards);
  }

  @OnElected()
  elected({ term }: Leadership): void {
    this.diary.write({ what: 'elected', term: String(term), atMs: nowMs() });
  }

  @OnDeposed()
  deposed({ term }: Leadership): void {
    this.diary.write({ what: 'deposed', term: String(term), atMs: nowMs() });
  }

  private async work(job: Job, shards: readonly Shard[] = []): Promise<void> {
    const tick = Math.floor(nominalMs() / 1_000);
    const numbers = shards.map(({ index, fence }) => ({ index, fence: String(fence) }));
    this.diary.write({ what: 'ran', job, tick, shards: numbers, atMs: nowMs() });
    await sleep(WORK_MS);
  }
}

/** The tick that a run has claimed is in the key of its lease; the others go by the clock. */
function nominalMs(): number {
  const [, claimed] = /^tick:[^:]*:(.+)$/.exec(currentLease()?.key ?? '') ?? [];
  return claimed === undefined ? Date.now() : Date.parse(claimed);
}
