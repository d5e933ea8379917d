import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { SystemClock } from '../../lib/core/clock.js';

const HOUR_MS = 3_600_000;

/** Both clocks of the machine, to be moved by hand from what they really show. */
function machine(): { monotonicMs: number; wallMs: number } {
  const time = { monotonicMs: performance.now(), wallMs: Date.now() };
  jest.spyOn(performance, 'now').mockImplementation(() => time.monotonicMs);
  jest.spyOn(Date, 'now').mockImplementation(() => time.wallMs);
  return time;
}

function pass(time: { monotonicMs: number; wallMs: number }, ms: number): void {
  time.monotonicMs += ms;
  time.wallMs += ms;
}

describe('the system clock', () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('goes as the machine does', () => {
    const time = machine();
    const clock = new SystemClock();
    const startMs = clock.now();
    for (let ms = 0; ms < 1_000; ms += 0.25) {
      pass(time, 0.25);
      time.wallMs = Math.floor(time.wallMs * 4) / 4;
      clock.now();
    }
    expect(Math.abs(clock.now() - startMs - 1_000)).toBeLessThan(2);
  });

  it('[25] counts the time in which the machine was suspended, as the monotonic clock does not', () => {
    const time = machine();
    const clock = new SystemClock();
    const startMs = clock.now();
    time.wallMs += HOUR_MS;
    expect(clock.now() - startMs).toBeGreaterThan(HOUR_MS - 10);
  });

  it('[38] goes on when the wall clock is set back', () => {
    const time = machine();
    const clock = new SystemClock();
    const startMs = clock.now();
    time.wallMs -= HOUR_MS;
    pass(time, 1_000);
    expect(Math.abs(clock.now() - startMs - 1_000)).toBeLessThan(10);
  });

  it('[38] never stands still: not when the wall clock was set forward by mistake, and back again', () => {
    const time = machine();
    const clock = new SystemClock();
    time.wallMs += HOUR_MS;
    clock.now();
    time.wallMs -= HOUR_MS;
    const beforeMs = clock.now();
    pass(time, 30_000);
    // a lease of 30 s that was taken after the correction has to end
    expect(clock.now() - beforeMs).toBeGreaterThanOrEqual(30_000);
    expect(clock.now() - beforeMs).toBeLessThan(30_100);
  });

  it('does not run ahead because the wall clock is coarse and the monotonic one is not', () => {
    const time = machine();
    const clock = new SystemClock();
    const startMs = clock.now();
    const wallMs = time.wallMs;
    for (let step = 1; step <= 10_000; step++) {
      time.monotonicMs += 0.1;
      time.wallMs = wallMs + Math.floor(step * 0.1);
      clock.now();
    }
    expect(clock.now() - startMs).toBeLessThan(1_010);
  });

  it('agrees with all others of the process, also after a jump that only one of them saw', () => {
    const time = machine();
    const one = new SystemClock();
    const two = new SystemClock();
    time.wallMs += HOUR_MS;
    one.now();
    time.wallMs -= HOUR_MS;
    pass(time, 100);
    expect(Math.abs(one.now() - two.now())).toBeLessThanOrEqual(1);
  });

  it('sets timers that fire once, never synchronously, and not after they were cleared', async () => {
    const clock = new SystemClock();
    const fired: string[] = [];
    clock.setTimer(() => fired.push('at once'), -5);
    clock.setTimer(() => fired.push('background'), 1, true);
    const cleared = clock.setTimer(() => fired.push('cleared'), 0);
    cleared.clear();
    cleared.clear();
    expect(fired).toEqual([]);
    await new Promise<void>((resolve) => {
      clock.setTimer(resolve, 30);
    });
    expect(fired.sort()).toEqual(['at once', 'background']);
  });

  it('waits for longer than Node can in one go', () => {
    jest.useFakeTimers();
    try {
      let fired = 0;
      const clock = new SystemClock();
      const longMs = 2 ** 31 * 2.5;
      clock.setTimer(() => fired++, longMs);
      const cleared = clock.setTimer(() => fired++, longMs);
      jest.advanceTimersByTime(2 ** 31 + 1_000);
      cleared.clear();
      expect(fired).toBe(0);
      jest.advanceTimersByTime(longMs);
      expect(fired).toBe(1);
    } finally {
      jest.useRealTimers();
    }
  });
});
