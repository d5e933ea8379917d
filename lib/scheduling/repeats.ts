import type { Clock } from '../core/clock.js';
import type { CronTicks } from './cron-ticks.js';
import type { Schedule } from './schedule.js';
import { wallNowMs } from './wall-clock.js';

/** Runs of one cron job that are closer than this are for one tick, where the tick cannot be told. */
const ONE_TICK_MS = 500;
/** A cron job that fires later than this is not recognised as a second run. */
const LOOK_BACK_MS = 60_000;

/** One scheduled call of a guarded method. */
export interface ScheduledCall {
  readonly site: string;
  readonly self: object;
  /** The guarded method, as the decorator made it: one method may have several guards. */
  readonly guard: object;
  readonly schedule: Schedule;
}

/**
 * A class that is provided in two modules, or under an alias, has its jobs scheduled twice in one process. This finds
 * the second run of each; classes that are provided once are left alone.
 */
export class Repeats {
  /** Classes that are provided more than once. */
  private readonly twins = new Set<unknown>();
  private readonly lastRuns = new WeakMap<object, Map<unknown, number>>();

  constructor(
    private readonly clock: Clock,
    private readonly ticks: CronTicks,
  ) {}

  /** Names a class that is provided more than once. */
  expect(twin: unknown): void {
    this.twins.add(twin);
  }

  /** Whether it has run already; if not, it runs now. */
  isRepeat({ self, guard, schedule, site }: ScheduledCall): boolean {
    const { constructor } = self;
    if (!this.twins.has(constructor)) return false;
    const runs = this.lastRuns.get(guard) ?? new Map<unknown, number>();
    this.lastRuns.set(guard, runs);
    const before = runs.get(constructor);
    const tickMs = schedule.kind === 'cron' ? this.tickOf(schedule, site) : undefined;
    const mark = tickMs ?? this.clock.now();
    if (before !== undefined && isSame(schedule, before, mark, tickMs !== undefined)) return true;
    runs.set(constructor, mark);
    return false;
  }

  private tickOf(schedule: Extract<Schedule, { kind: 'cron' }>, site: string): number | undefined {
    try {
      return this.ticks.latest(schedule, site, wallNowMs(), LOOK_BACK_MS);
    } catch {
      // called by hand, where nothing is scheduled
      return undefined;
    }
  }
}

function isSame(schedule: Schedule, before: number, now: number, areTicks: boolean): boolean {
  if (schedule.kind === 'timeout') return true;
  if (areTicks) return now === before;
  return now - before < (schedule.kind === 'interval' ? schedule.everyMs / 2 : ONE_TICK_MS);
}
