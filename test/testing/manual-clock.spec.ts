import { describe, expect, it } from '@jest/globals';
import { ManualClock } from 'nestjs-interlock/testing';

describe('ManualClock', () => {
  it('stands still until it is moved', async () => {
    const clock = new ManualClock(1_000);
    expect(clock.now()).toBe(1_000);
    await clock.advance(250);
    expect(clock.now()).toBe(1_250);
    await clock.jumpTo(86_400_000);
    expect(clock.now()).toBe(86_400_000);
  });

  it('fires timers in the order of their time, those of one time in the order in which they were set', async () => {
    const clock = new ManualClock();
    const fired: string[] = [];
    clock.setTimer(() => fired.push(`late at ${clock.now()}`), 30);
    clock.setTimer(() => fired.push(`first at ${clock.now()}`), 10);
    clock.setTimer(() => fired.push(`second at ${clock.now()}`), 10);
    await clock.advance(29);
    expect(fired).toEqual(['first at 10', 'second at 10']);
    await clock.advance(1);
    expect(fired).toEqual(['first at 10', 'second at 10', 'late at 30']);
  });

  it('lets promises and immediates settle between two timers', async () => {
    const clock = new ManualClock();
    const steps: string[] = [];
    clock.setTimer(() => {
      void Promise.resolve().then(() => steps.push('promise'));
      setImmediate(() => void Promise.resolve().then(() => steps.push('immediate')));
    }, 10);
    clock.setTimer(() => steps.push('timer'), 10);
    await clock.advance(10);
    expect(steps).toEqual(['promise', 'immediate', 'timer']);
  });

  it('fires what a timer sets, when that comes due on the way', async () => {
    const clock = new ManualClock();
    const firedAtMs: number[] = [];
    const again = (): void => {
      firedAtMs.push(clock.now());
      clock.setTimer(again, 10);
    };
    clock.setTimer(again, 10);
    await clock.advance(35);
    expect(firedAtMs).toEqual([10, 20, 30]);
    expect(clock.now()).toBe(35);
    expect(clock.pendingTimers).toBe(1);
  });

  it('fires what runs for a promise that a timer resolves, when it sets a timer itself', async () => {
    const clock = new ManualClock();
    const sleep = (ms: number): Promise<void> =>
      new Promise((resolve) => {
        clock.setTimer(resolve, ms);
      });
    let doneAtMs = 0;
    void (async () => {
      await sleep(10);
      await sleep(15);
      doneAtMs = clock.now();
    })();
    await clock.advance(100);
    expect(doneAtMs).toBe(25);
  });

  it('forgets timers that are cleared, twice and after they fired as well', async () => {
    const clock = new ManualClock();
    let fired = 0;
    const cleared = clock.setTimer(() => fired++, 10);
    const kept = clock.setTimer(() => fired++, 10);
    expect(clock.pendingTimers).toBe(2);
    cleared.clear();
    cleared.clear();
    await clock.advance(10);
    kept.clear();
    expect(fired).toBe(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it('fires a timer without delay by itself, but not synchronously', async () => {
    const clock = new ManualClock();
    let fired = 0;
    clock.setTimer(() => fired++, 0);
    clock.setTimer(() => fired++, -5);
    expect(fired).toBe(0);
    await clock.settle();
    expect(fired).toBe(2);
    expect(clock.now()).toBe(0);
  });

  it('skips like a blocked event loop: the time is past, and nothing has fired', async () => {
    const clock = new ManualClock();
    const firedAtMs: number[] = [];
    clock.setTimer(() => firedAtMs.push(clock.now()), 10);
    clock.skip(50);
    await clock.settle();
    expect(clock.now()).toBe(50);
    expect(firedAtMs).toEqual([]);
    await clock.advance(0);
    expect(firedAtMs).toEqual([50]);
  });

  it('passes on what a timer throws', async () => {
    const clock = new ManualClock();
    clock.setTimer(() => {
      throw new Error('from a timer');
    }, 10);
    await expect(clock.advance(10)).rejects.toThrow('from a timer');
  });

  it('does not go back', async () => {
    const clock = new ManualClock(100);
    await expect(clock.advance(-1)).rejects.toThrow(
      'A clock cannot be moved by -1 ms; give a number of milliseconds from 0 on.',
    );
    await expect(clock.jumpTo(99)).rejects.toThrow(RangeError);
    expect(() => clock.skip(Number.NaN)).toThrow(RangeError);
    expect(clock.now()).toBe(100);
  });
});
