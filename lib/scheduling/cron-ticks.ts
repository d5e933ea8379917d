import { LockConfigurationError } from '../core/errors.js';
import type { Schedule } from './schedule.js';
import { latestTick, type NextTick } from './tick.js';

/** The parts of a `CronTime` of the package `cron` that we use; it is no dependency of ours. */
interface CronTime {
  readonly source: unknown;
  readonly realDate?: boolean;
  readonly timeZone?: string | undefined;
  readonly utcOffset?: number | undefined;
  getNextDateFrom(start: Date, timeZone?: string): { toMillis(): number };
}

/** Those of the `SchedulerRegistry` of `@nestjs/schedule`. */
interface Registry {
  getCronJobs(): ReadonlyMap<string, { readonly cronTime: CronTime }>;
}

type CronSchedule = Extract<Schedule, { kind: 'cron' }>;

/**
 * The nominal times of cron jobs, by the very code that fires them: time zone, daylight saving and all its other
 * notions of a pattern are those of the package `cron`, which `@nestjs/schedule` brings along.
 */
export class CronTicks {
  /** @param instances everything that the application is made of, each time it is asked for */
  constructor(private readonly instances: () => Iterable<unknown>) {}

  /**
   * The latest time for which the job was to be fired, in ms since 1970; undefined when there is none within
   * `lookBackMs` before `nowMs`.
   *
   * @throws LockConfigurationError when nothing fires the job
   */
  latest(schedule: CronSchedule, site: string, nowMs: number, lookBackMs: number): number | undefined {
    const time = this.timeOf(schedule, site);
    if (time.realDate === true) {
      const atMs = Number(time.source);
      return atMs <= nowMs && nowMs - atMs <= lookBackMs ? atMs : undefined;
    }
    const zone = zoneOf(time);
    const next: NextTick = (afterMs) => time.getNextDateFrom(new Date(afterMs), zone).toMillis();
    return latestTick(next, nowMs, lookBackMs);
  }

  /** By its name, because a named job may have been given another time since; else any with the same pattern and zone. */
  private timeOf({ name, options }: CronSchedule, site: string): CronTime {
    const jobs = this.registry(site).getCronJobs();
    const named = name === undefined ? undefined : jobs.get(name);
    if (named) return named.cronTime;
    let sample: CronTime | undefined;
    for (const { cronTime } of jobs.values()) {
      if (isTimeOf(cronTime, options)) return cronTime;
      sample ??= cronTime;
    }
    if (sample) return another(sample, options);
    throw new LockConfigurationError(
      `${site} runs once per tick, but no cron job is registered, so there is no tick: see that ScheduleModule.forRoot() does not leave out cron jobs, and that the application has been started. Nothing has run.`,
    );
  }

  private registry(site: string): Registry {
    for (const instance of this.instances()) if (isRegistry(instance)) return instance;
    throw new LockConfigurationError(
      `${site} runs once per tick, but nothing fires ticks here: import ScheduleModule.forRoot() of @nestjs/schedule. Nothing has run.`,
    );
  }
}

function isRegistry(value: unknown): value is Registry {
  if (typeof value !== 'object' || value === null) return false;
  const { getCronJobs, addCronJob } = value as { getCronJobs?: unknown; addCronJob?: unknown };
  return typeof getCronJobs === 'function' && typeof addCronJob === 'function';
}

function isTimeOf(time: CronTime, { cronTime, timeZone, utcOffset }: CronSchedule['options']): boolean {
  if (time.source !== cronTime) return false;
  if (utcOffset !== undefined && utcOffset !== null) return time.utcOffset === utcOffset;
  return time.utcOffset === undefined && time.timeZone === (timeZone ?? systemZone());
}

/** A time of the same make, for a job that has been taken from the registry meanwhile. */
function another(sample: CronTime, { cronTime, timeZone, utcOffset }: CronSchedule['options']): CronTime {
  const { constructor } = sample as unknown as {
    readonly constructor: new (source: unknown, timeZone: unknown, utcOffset: unknown) => CronTime;
  };
  return new constructor(cronTime, timeZone, utcOffset);
}

function zoneOf({ timeZone, utcOffset }: CronTime): string {
  if (utcOffset === undefined) return timeZone ?? systemZone();
  const minutes = Math.abs(utcOffset);
  const part = (count: number): string => String(count).padStart(2, '0');
  return `UTC${utcOffset < 0 ? '-' : '+'}${part(Math.trunc(minutes / 60))}:${part(minutes % 60)}`;
}

function systemZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}
