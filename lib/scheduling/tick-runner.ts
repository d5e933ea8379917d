import type { BackendTraits } from '../backends/lock-backend.js';
import type { Clock } from '../core/clock.js';
import { identityOf } from '../core/claim.js';
import { errorMessage, LockTimeoutError, LockUnavailableError } from '../core/errors.js';
import type { HeldLease, Lease } from '../core/lease.js';
import type { LockOptions } from '../core/options.js';
import { withLimit } from './at-most.js';
import { pause } from './bounded.js';
import type { JobDesk } from './job-desk.js';
import type { ScheduledCall } from './repeats.js';
import type { TickSettings } from './tick-settings.js';
import { wallNowMs } from './wall-clock.js';

/** What the runs of ticks need of the lock service. */
export interface TickHost {
  readonly clock: Clock;
  readonly identity: string;
  readonly jobs: JobDesk;
  readonly traits: BackendTraits;
  contest(key: string, options: LockOptions): Promise<HeldLease>;
  within<T>(lease: HeldLease, body: (lease: Lease) => Promise<T> | T): Promise<T>;
  skip(site: string, key: string, why: string): undefined;
  warn(message: string): void;
}

/** One call of a job that runs once per tick. */
export interface TickCall extends ScheduledCall {
  readonly schedule: Extract<ScheduledCall['schedule'], { kind: 'cron' }>;
  readonly settings: TickSettings;
  readonly body: (lease: Lease) => unknown;
}

/** A claim whose call failed is repeated for so long: a tick is not lost because the server has a bad second. */
const PATIENCE_MS = 10_000;
const FIRST_BACKOFF_MS = 100;
/** Runs of others that one process watches at a time; further ones are left to other replicas. */
const MOST_WATCHED = 1_000;

/** What a claim came to, other than the lease. */
type Refused = { readonly why: string; readonly runsForMs?: number | undefined };

/**
 * Runs each tick of a cron job on one replica. The claim is a lock on (job, nominal tick), taken in one step and kept
 * for `keep` after that, however short the run.
 *
 * Why nobody runs it twice: let all clocks be within S of the true time, and L = keep / 2 the latest that a run may be
 * by its own clock. Whoever runs the tick T has its claim between T − S (its clock is ahead) and T + S + L (behind, and
 * late), by the true time; that is looked at after the grant, so a slow server changes nothing. The first claim keeps the
 * key until T − S + keep at least. A second one would need T − S + keep < T + S + L, that is keep / 2 < 2 S. So clocks
 * may be up to keep / 2 apart.
 */
export class TickRunner {
  private watched = 0;

  constructor(private readonly host: TickHost) {}

  /** Resolves when the tick has been run here, or need not be. */
  async run(call: TickCall): Promise<unknown> {
    const { site, schedule, settings } = call;
    const { jobs } = this.host;
    const refusal = jobs.refusal(call);
    const tickMs = jobs.ticks.latest(schedule, site, wallNowMs(), settings.latestMs);
    if (refusal !== undefined) return this.skip(call, tickMs, refusal);
    if (tickMs === undefined)
      return this.skip(call, tickMs, `no tick was due within the last ${settings.latestMs} ms`);
    return jobs.run(async () => {
      const claim = await this.claim(call, tickMs);
      if (!('why' in claim)) return this.work(call, claim);
      if (settings.retries && claim.runsForMs !== undefined) void this.watch(call, tickMs, claim.runsForMs);
      return this.skip(call, tickMs, claim.why);
    });
  }

  /** One try; repeated as long as the server does not say yes or no. */
  private async claim(call: TickCall, tickMs: number): Promise<HeldLease | Refused> {
    const { clock, identity, jobs } = this.host;
    const { settings } = call;
    const key = keyOf(settings.job, tickMs);
    const giveUpMs = clock.now() + PATIENCE_MS;
    let mayHaveLeftOne = false;
    for (let backoffMs = FIRST_BACKOFF_MS; ; backoffMs *= 2) {
      try {
        return await this.inTime(
          await this.host.contest(key, { wait: 0, ttl: settings.ttlMs, pattern: `tick:${settings.job}` }),
          call,
          tickMs,
        );
      } catch (error) {
        const isOver = clock.now() + backoffMs > giveUpMs || jobs.closing.aborted;
        if (error instanceof LockTimeoutError) {
          // what a lost claim of ours left behind is being cleaned up
          const isOurs = error.holder !== undefined && identityOf(error.holder) === identity;
          if (!(mayHaveLeftOne && isOurs) || isOver) return this.refusedBy(error, settings);
        } else if (!(error instanceof LockUnavailableError) || isOver) {
          throw error;
        } else {
          mayHaveLeftOne = true;
        }
      }
      await pause(clock, backoffMs, jobs.closing);
    }
  }

  /** The grant may have taken its time. */
  private async inTime(
    lease: HeldLease,
    { settings }: TickCall,
    tickMs: number,
  ): Promise<HeldLease | Refused> {
    const lateMs = wallNowMs() - tickMs;
    const isClosing = this.host.jobs.closing.aborted;
    if (lateMs <= settings.latestMs && !isClosing) return lease;
    await lease[Symbol.asyncDispose]();
    return { why: isClosing ? 'the application is closing' : `it is ${lateMs} ms late` };
  }

  /** A lease that has longer to live than any that is renewed belongs to a run that has ended. */
  private refusedBy({ holder, expiresInMs }: LockTimeoutError, { ttlMs, retries }: TickSettings): Refused {
    const who = holder === undefined ? 'another replica' : identityOf(holder);
    const { lockDelayMs = 0 } = this.host.traits;
    const isDone = expiresInMs !== undefined && expiresInMs > ttlMs + lockDelayMs;
    if (!retries || isDone) return { why: `it has been run by ${who}` };
    return { why: `it is being run by ${who}`, runsForMs: expiresInMs ?? ttlMs };
  }

  private async work({ settings, body, site }: TickCall, lease: HeldLease): Promise<unknown> {
    try {
      return await withLimit(this.host, lease, settings.atMostMs, site, () => this.host.within(lease, body));
    } finally {
      lease.lingerFor(settings.keepMs);
      await lease[Symbol.asyncDispose]();
    }
  }

  /** Somebody else runs the tick: waits until that has ended well, and takes over when it has not. */
  private async watch(call: TickCall, tickMs: number, runsForMs: number): Promise<void> {
    if (this.watched >= MOST_WATCHED) return;
    this.watched++;
    const { clock, jobs } = this.host;
    const key = keyOf(call.settings.job, tickMs);
    try {
      for (let leftMs = runsForMs; ;) {
        await pause(clock, Math.max(1, leftMs) + FIRST_BACKOFF_MS, jobs.closing);
        if (jobs.closing.aborted || wallNowMs() - tickMs > call.settings.latestMs) return;
        const claim = await this.claim(call, tickMs);
        if (!('why' in claim)) {
          this.host.warn(
            `${call.site} is run again ("${key}"): the replica that ran it was not heard of any more.`,
          );
          await jobs.run(() => this.work(call, claim));
          return;
        }
        if (claim.runsForMs === undefined) return;
        leftMs = claim.runsForMs;
      }
    } catch (error) {
      // nobody waits for this run
      this.host.warn(`${call.site} ("${key}") failed: ${errorMessage(error)}`);
    } finally {
      this.watched--;
    }
  }

  private skip({ site, settings }: TickCall, tickMs: number | undefined, why: string): undefined {
    return this.host.skip(site, keyOf(settings.job, tickMs), why);
  }
}

/** The tick as a date without milliseconds, for people who list the locks. */
function keyOf(job: string, tickMs: number | undefined): string {
  const tick = tickMs === undefined ? '' : `:${new Date(tickMs).toISOString().replace('.000', '')}`;
  return `tick:${job}${tick}`;
}
