import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { SystemClock } from '../../lib/core/clock.js';
import { LockLostError } from '../../lib/core/errors.js';
import type { Lease } from '../../lib/core/lease.js';
import { LockService } from '../../lib/lock.service.js';
import { fallenFences, overlapsOf, type Belief } from '../faults/judges/belief.js';
import { EXCLUSIVE } from '../faults/judges/share.js';
import { Ledger } from './ledger.js';
import { LoopWatch } from './loop-watch.js';
import { until } from './until.js';

/**
 * - `clean`: a replica is made the primary while all are well.
 * - `frozen`: the primary stops for as long as it takes to replace it, and goes on as if nothing had happened.
 * - `losing`: the primary dies with writes that no replica has.
 */
export type Strike = 'clean' | 'frozen' | 'losing';

/** Servers that can be struck. */
export interface Battlefield {
  backend(): LockBackend;
  /** Keys of which at least the first half is on the server that will be struck. */
  keys(stem: string, count: number): Promise<string[]>;
  /** Resolves when a successor takes writes. `meanwhile` is what no replica will know. */
  strike(strike: Strike, meanwhile: () => Promise<void>): Promise<void>;
  /** Resolves when all servers are in their places again. */
  heal(): Promise<void>;
  /** What the primaries keep for locks, apart from their memory of fences and of what was abandoned. */
  leftovers(): Promise<string[]>;
}

export interface FailOverReport {
  /** From the strike until locks can be acquired for good. */
  readonly recoveredMs: number;
  /** How many holders were told of a loss, by its reason: `gone` on the server, or the server was `silent`. */
  readonly lost: Readonly<Record<string, number>>;
  /** The least time that was left of the ttl when a loss was told; Infinity without any loss. */
  readonly slackMs: number;
  /** Callers that waited and got the lock, and those that did not, within their time. */
  readonly served: number;
  readonly refused: number;
  /** Of the locks acquired on the primary alone, right before its death, how many were granted. */
  readonly late: number;
  /** Locks in two hands at once, and the longest such time. */
  readonly doubles: number;
  readonly longestDoubleMs: number;
  /** By how much the event loop was late; what has to happen in time may be late by as much. */
  readonly stallMs: number;
  /** What may never be, in sentences. */
  readonly violations: readonly string[];
}

/** The prefix of the locks in a trial. */
export const PREFIX = 'trial';

interface Loss {
  readonly toldMs: number;
  readonly endMs: number;
  readonly why: string;
}

interface Holding {
  readonly lease: Lease;
  readonly belief: Belief & { untilMs: number };
}

const HOLDERS = 50;
const LATE = 20;
const LATE_TURNS = 10;
/** Half of the leases end by themselves during the fail-over, the other half can be kept. */
const SHORT_TTL_MS = 2_000;
const LONG_TTL_MS = 10_000;
const PATIENT_MS = 60_000;
const IMPATIENT_MS = 1_500;
/** What a public call may take beyond its deadline. */
const GRACE_MS = 250;
const PROBE_PAUSE_MS = 20;
/** An event loop that was blocked that long before or after something may have made it late. */
const EXCUSED_MS = 100;

/**
 * Fifty leases are held and fifty callers of another service wait for them, while the servers go through a fail-over.
 * A third service tries to acquire all the time. Then everybody goes home, and the history is judged.
 */
export class FailOverTrial {
  private readonly clock = new SystemClock();
  private readonly ledger = new Ledger(this.clock);
  private readonly beliefs: Belief[] = [];
  private readonly violations: string[] = [];
  private readonly losses: Loss[] = [];
  private readonly holdings: Holding[] = [];
  private readonly waits: Promise<void>[] = [];
  private readonly loop = new LoopWatch(this.clock);
  private readonly services: LockService[] = [];
  private struckAtMs = NaN;
  private recoveredAtMs = NaN;
  /** Why the last acquisition failed. */
  private trouble = '';
  private isOver = false;
  private served = 0;
  private refused = 0;

  private constructor(private readonly field: Battlefield) {}

  /** Resolves with the report, whatever happened. */
  static async run(field: Battlefield, strike: Strike): Promise<FailOverReport> {
    const trial = new FailOverTrial(field);
    const note = (reason: unknown): void => void trial.violations.push(`nobody handled ${String(reason)}`);
    process.on('unhandledRejection', note);
    process.on('uncaughtException', note);
    try {
      return await trial.go(strike);
    } finally {
      trial.loop.stop();
      trial.isOver = true;
      await Promise.all(trial.services.map((service) => service.stop()));
      process.off('unhandledRejection', note);
      process.off('uncaughtException', note);
    }
  }

  private async go(strike: Strike): Promise<FailOverReport> {
    const { field } = this;
    const [holders, waiters, prober] = [await this.service(), await this.service(), await this.service()];
    await this.hold(holders, await field.keys('held', HOLDERS));
    const held = this.holdings.map(({ lease }) => lease.key);
    held.forEach((key, at) => this.wait(waiters, key, at % 4 < 2 ? PATIENT_MS : IMPATIENT_MS));
    await until(() => waiters.gauges.waiting === HOLDERS, 'all callers wait');
    const probes = await field.keys('probe', 10);
    const lateKeys = await field.keys('late', LATE);
    this.struckAtMs = this.clock.now();
    const probing = this.probe(prober, probes);
    let late = 0;
    await field.strike(strike, async () => {
      late = await this.holdLate(holders, waiters, lateKeys);
      this.struckAtMs = this.clock.now();
    });
    await field.heal();
    await this.settle();
    this.isOver = true;
    await probing;
    await this.giveBack();
    await Promise.all(this.waits);
    await Promise.all(this.services.map((service) => service.stop()));
    await this.checkLeftovers();
    return this.report(late);
  }

  private async service(): Promise<LockService> {
    const { clock, ledger } = this;
    const service = new LockService(ledger.over(this.field.backend()), { clock, prefix: PREFIX });
    this.services.push(service);
    await service.start();
    return service;
  }

  private async hold(service: LockService, keys: readonly string[]): Promise<void> {
    // what a service does once for a key, as to find its slot, shall not count as the time of its sending
    await Promise.all(keys.map((key) => service.using(key, () => undefined)));
    const leases = await Promise.all(
      keys.map((key, at) => service.acquire(key, { ttl: at % 2 ? LONG_TTL_MS : SHORT_TTL_MS })),
    );
    for (const lease of leases) this.holdings.push(this.believe(lease));
  }

  /** What is granted now, only the primary knows. @returns how many were granted */
  private async holdLate(
    holders: LockService,
    waiters: LockService,
    keys: readonly string[],
  ): Promise<number> {
    const acquire = async (key: string): Promise<Lease> => {
      // fences that the successor does not know of either
      for (let turn = 0; turn < LATE_TURNS; turn++)
        await holders.using(key, { wait: 1_000 }, () => undefined);
      return holders.acquire(key, { ttl: LONG_TTL_MS, wait: 1_000 });
    };
    const attempts = await Promise.allSettled(keys.map(acquire));
    const leases = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []));
    for (const lease of leases) {
      this.holdings.push(this.believe(lease));
      this.wait(waiters, lease.key, PATIENT_MS);
    }
    return leases.length;
  }

  private believe(lease: Lease): Holding {
    const { key, fence } = lease;
    const who = `acquisition ${this.beliefs.length}`;
    const belief = { key, who, fence, share: EXCLUSIVE, fromMs: this.clock.now(), untilMs: Infinity };
    this.beliefs.push(belief);
    const told = (): void => {
      const nowMs = this.clock.now();
      const endMs = this.ledger.endMs(`${PREFIX}:${lease.key}`, lease.fence);
      belief.untilMs = Math.min(nowMs, endMs);
      const reason: unknown = lease.signal.reason;
      const why = reason instanceof LockLostError ? reason.reason : String(reason);
      this.losses.push({ toldMs: nowMs, endMs, why });
    };
    if (lease.signal.aborted) told();
    else lease.signal.addEventListener('abort', told, { once: true });
    return { lease, belief };
  }

  /** One caller: it gets the lock, uses it for a moment, and gives it back; or it is refused in time. */
  private wait(service: LockService, key: string, waitMs: number): void {
    const startMs = this.clock.now();
    const settled = (): void => {
      const lateMs = this.clock.now() - startMs - waitMs - GRACE_MS - this.loop.worstMs();
      if (lateMs > 0) this.violations.push(`${key}: a caller was answered ${lateMs} ms too late`);
    };
    const run = async (): Promise<void> => {
      const lease = await service.acquire(key, { wait: waitMs, ttl: LONG_TTL_MS }).catch((error: unknown) => {
        const name = error instanceof Error ? error.name : String(error);
        if (!/^Lock(?:Timeout|Unavailable)Error$/.test(name))
          this.violations.push(`${key}: ${String(error)}`);
        this.refused++;
      });
      settled();
      if (!lease) return;
      this.served++;
      const holding = this.believe(lease);
      await sleep(5);
      await this.release(holding);
    };
    this.waits.push(run());
  }

  private async release({ lease, belief }: Holding): Promise<boolean | undefined> {
    belief.untilMs = Math.min(belief.untilMs, this.clock.now());
    // without an answer the clean-up goes on in the background; nothing may be left of it in the end
    return lease.release().catch(() => undefined);
  }

  private async probe(service: LockService, keys: readonly string[]): Promise<void> {
    for (let turn = 0; !this.isOver; turn++) {
      const key = keys[turn % keys.length] ?? '';
      const lease = await service.tryAcquire(key, { ttl: SHORT_TTL_MS }).catch((error: unknown) => {
        this.trouble = String(error);
        return null;
      });
      if (!lease) this.recoveredAtMs = NaN;
      else if (Number.isNaN(this.recoveredAtMs)) this.recoveredAtMs = this.clock.now();
      if (lease) await this.release(this.believe(lease));
      await sleep(PROBE_PAUSE_MS);
    }
  }

  /** Waits until each holder knows where it stands: it was told of a loss, or has been confirmed by the servers of now. */
  private async settle(): Promise<void> {
    const healedAtMs = this.clock.now();
    const knows = ({ lease }: Holding): boolean =>
      lease.signal.aborted || this.ledger.provenAtMs(`${PREFIX}:${lease.key}`, lease.fence) > healedAtMs;
    await until(() => this.holdings.every(knows), 'every holder knows', LONG_TTL_MS + 1_000);
  }

  private async giveBack(): Promise<void> {
    await Promise.all(
      this.holdings.map(async (holding) => {
        const { lease } = holding;
        if (!lease.held) return;
        const answer = await this.release(holding);
        if (answer !== true)
          this.violations.push(`${lease.key}: was held to the end, but its release said ${answer}`);
      }),
    );
  }

  private async checkLeftovers(): Promise<void> {
    const left = await this.field.leftovers();
    if (left.length > 0) this.violations.push(`left on the servers: ${left.join(', ')}`);
  }

  private report(late: number): FailOverReport {
    const { beliefs, losses, violations } = this;
    const slackMs = Math.min(...losses.map(({ toldMs, endMs }) => endMs - toldMs));
    for (const { toldMs, endMs, why } of losses) {
      const excuseMs = this.loop.stolenMs(endMs - EXCUSED_MS, toldMs + EXCUSED_MS);
      if (toldMs > endMs + excuseMs)
        violations.push(`a loss (${why}) was told ${toldMs - endMs} ms after the end of the ttl`);
    }
    if (Number.isNaN(this.recoveredAtMs)) violations.push(`no acquisition works to the end: ${this.trouble}`);
    violations.push(...fallenFences(beliefs));
    assert(beliefs.length > HOLDERS, 'there is something to judge');
    const overlaps = overlapsOf(beliefs);
    const reasons = [...new Set(['gone', 'silent', ...losses.map(({ why }) => why)])];
    return {
      recoveredMs: Math.max(0, this.recoveredAtMs - this.struckAtMs),
      lost: Object.fromEntries(reasons.map((why) => [why, losses.filter((loss) => loss.why === why).length])),
      slackMs,
      served: this.served,
      refused: this.refused,
      late,
      doubles: overlaps.length,
      longestDoubleMs: (overlaps[0]?.us ?? 0) / 1_000,
      stallMs: this.loop.worstMs(),
      violations,
    };
  }
}
