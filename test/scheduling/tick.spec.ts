import { describe, expect, it } from '@jest/globals';
import { CronJob } from 'cron';
import { CronTicks } from '../../lib/scheduling/cron-ticks.js';
import { latestTick } from '../../lib/scheduling/tick.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Of each series. */
const CHECKED = 8;

/** Spring and autumn of places that change their clocks, and one that does not. */
const CHANGES: readonly (readonly [zone: string, dates: readonly string[]])[] = [
  ['Europe/Berlin', ['2026-03-29T01:00:00Z', '2026-10-25T01:00:00Z']],
  ['America/New_York', ['2026-03-08T07:00:00Z', '2026-11-01T06:00:00Z']],
  ['Australia/Sydney', ['2026-04-04T16:00:00Z', '2026-10-03T16:00:00Z']],
  ['Australia/Lord_Howe', ['2026-04-04T15:00:00Z', '2026-10-03T15:30:00Z']],
  ['Asia/Kolkata', ['2026-03-29T01:00:00Z']],
];
/** With the minutes before the change at which it becomes interesting. */
const PATTERNS: readonly (readonly [source: string, minutes: number])[] = [
  ['*/20 * * * * *', 3],
  ['0 * * * * *', 15],
  ['30 */7 * * * *', 60],
  ['0 0 * * * *', 120],
  ['0 30 2 * * *', 120],
  ['0 0 3 * * *', 120],
  ['0 59 1,2,3 * * *', 120],
  ['5 0 0 * * 0', 120],
];
const MOST_FIRINGS = 90;

type Job = ReturnType<typeof CronJob.from>;

function ticksOf(source: string, timeZone?: string, utcOffset?: number): { job: Job; ticks: CronTicks } {
  const job = CronJob.from({
    cronTime: source,
    onTick: () => undefined,
    ...(utcOffset === undefined ? { timeZone: timeZone ?? null } : { utcOffset }),
  });
  const registry = { getCronJobs: () => new Map([['job', job]]), addCronJob: () => undefined };
  return { job, ticks: new CronTicks(() => [null, 'something', registry]) };
}

/** The times at which `cron` fires around a change of the clocks: each is reckoned from the one before. */
function firings(job: Job, changeMs: number, minutes: number, zone: string): number[] {
  const times: number[] = [];
  let atMs = changeMs - minutes * 60_000;
  for (;;) {
    const nextMs = job.cronTime.getNextDateFrom(new Date(atMs), zone).toMillis();
    // in the repeated hour of the south it goes astray, and reckons times that are over: those ticks have been run
    if (nextMs <= atMs) {
      atMs = changeMs + 1.5 * HOUR_MS;
      continue;
    }
    atMs = nextMs;
    if (atMs > changeMs + 4 * HOUR_MS || times.length >= MOST_FIRINGS) return times;
    times.push(atMs);
  }
}

describe('the nominal tick of a run', () => {
  it('[54] is the one that the timer was set for, whatever the zone and the change of its clocks, though the timer lags', () => {
    let looked = 0;
    for (const [zone, dates] of CHANGES) {
      for (const [source, minutes] of PATTERNS) {
        const { job, ticks } = ticksOf(source, zone);
        const schedule = {
          kind: 'cron',
          name: undefined,
          options: { cronTime: source, timeZone: zone },
        } as const;
        for (const date of dates) {
          const times = firings(job, Date.parse(date), minutes, zone);
          const stride = Math.ceil(times.length / CHECKED);
          times.forEach((atMs, index) => {
            if (index % stride !== 0) return;
            const gapMs = (times[index + 1] ?? atMs + 1_000) - atMs;
            const longestMs = Math.min(gapMs, HOUR_MS / 2) - 1;
            for (const lagMs of index % (4 * stride) === 0 ? [0, 999, longestMs] : [0, 999]) {
              const latest = ticks.latest(schedule, 'Jobs.run', atMs + lagMs, HOUR_MS);
              const at = new Date(latest ?? 0).toISOString();
              expect({ zone, source, at, lagMs }).toEqual({
                zone,
                source,
                at: new Date(atMs).toISOString(),
                lagMs,
              });
              looked++;
            }
          });
        }
      }
    }
    expect(looked).toBeGreaterThan(300);
  });

  it('goes by a fixed offset, by a date, and by the name of a job whose time was changed', () => {
    const fixed = ticksOf('0 0 12 * * *', undefined, -330);
    const at = (options: object, name?: string) => ({ kind: 'cron', name, options }) as const;
    const noonMs = Date.parse('2026-06-01T17:30:00Z');
    expect(
      fixed.ticks.latest(at({ cronTime: '0 0 12 * * *', utcOffset: -330 }), 'x', noonMs + 5, HOUR_MS),
    ).toBe(noonMs);
    // none is registered with this time; it is made after one that is
    const date = new Date(noonMs);
    expect(fixed.ticks.latest(at({ cronTime: date }), 'x', noonMs + 5, HOUR_MS)).toBe(noonMs);
    expect(fixed.ticks.latest(at({ cronTime: date }), 'x', noonMs - 5, HOUR_MS)).toBeUndefined();
    const named = ticksOf('0 0 13 * * *', 'UTC');
    const onceMs = Date.parse('2026-06-01T13:00:00Z');
    expect(
      named.ticks.latest(at({ cronTime: '0 0 12 * * *', timeZone: 'UTC' }, 'job'), 'x', onceMs, HOUR_MS),
    ).toBe(onceMs);
  });

  it('is none when the last one was too long ago', () => {
    const { ticks } = ticksOf('0 0 3 * * *', 'UTC');
    const schedule = {
      kind: 'cron',
      name: undefined,
      options: { cronTime: '0 0 3 * * *', timeZone: 'UTC' },
    } as const;
    const threeMs = Date.parse('2026-06-01T03:00:00Z');
    expect(ticks.latest(schedule, 'x', threeMs + 300_000, 300_000)).toBe(threeMs);
    expect(ticks.latest(schedule, 'x', threeMs + 302_000, 300_000)).toBeUndefined();
    expect(ticks.latest(schedule, 'x', threeMs - 1, 300_000)).toBeUndefined();
  });

  it('is found with a few questions, however dense or sparse the pattern is', () => {
    let asked = 0;
    const dense = (afterMs: number): number => (asked++, Math.floor(afterMs / 1_000 + 1) * 1_000);
    expect(latestTick(dense, 5_000_400, DAY_MS)).toBe(5_000_000);
    const inTheMorning = (afterMs: number): number => {
      asked++;
      const dayMs = Math.floor(afterMs / DAY_MS) * DAY_MS;
      if (afterMs < dayMs + 5 * HOUR_MS) return dense(afterMs);
      return dayMs + DAY_MS;
    };
    expect(latestTick(inTheMorning, 10 * DAY_MS + 20 * HOUR_MS, DAY_MS)).toBe(10 * DAY_MS + 5 * HOUR_MS);
    expect(asked).toBeLessThan(100);
  });

  it('says what is missing where nothing is scheduled', () => {
    const schedule = { kind: 'cron', name: undefined, options: { cronTime: '* * * * * *' } } as const;
    const none = new CronTicks(() => []);
    expect(() => none.latest(schedule, 'Jobs.run', 0, 1_000)).toThrow(
      'Jobs.run runs once per tick, but nothing fires ticks here: import ScheduleModule.forRoot() of @nestjs/schedule. Nothing has run.',
    );
    const empty = new CronTicks(() => [{ getCronJobs: () => new Map(), addCronJob: () => undefined }]);
    expect(() => empty.latest(schedule, 'Jobs.run', 0, 1_000)).toThrow(/no cron job is registered/);
  });
});
