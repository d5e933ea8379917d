import { describe, expect, it } from '@jest/globals';
import { durationMs } from '../../lib/core/duration.js';
import { LockConfigurationError } from '../../lib/core/errors.js';

const LIMITS = { minMs: 0, maxMs: 30 * 86_400_000, endless: true };
const parse = (value: unknown): number => durationMs('wait', value, LIMITS);

describe('durations', () => {
  it.each([
    [0, 0],
    [1_500, 1_500],
    ['0', 0],
    ['250', 250],
    ['250ms', 250],
    ['2 msecs', 2],
    ['7 milliseconds', 7],
    ['30s', 30_000],
    ['30 S', 30_000],
    ['1 sec', 1_000],
    ['2 seconds', 2_000],
    ['1.5s', 1_500],
    ['.5s', 500],
    ['1.1s', 1_100],
    ['5m', 300_000],
    ['5 min', 300_000],
    ['2 minutes', 120_000],
    ['1.5 hours', 5_400_000],
    ['2 hrs', 7_200_000],
    ['1d', 86_400_000],
    ['2 days', 172_800_000],
    ['1 week', 604_800_000],
    [' 3s ', 3_000],
    [Infinity, Infinity],
  ])('%p is %p ms', (value, ms) => {
    expect(parse(value)).toBe(ms);
  });

  it.each([
    ['soon', `wait is "soon"; give milliseconds as a number, or a text like '30s' or '5 minutes'.`],
    ['', `wait is ""; give milliseconds as a number, or a text like '30s' or '5 minutes'.`],
    ['5 months', `wait is "5 months"; give milliseconds as a number, or a text like '30s' or '5 minutes'.`],
    ['1e3', `wait is "1e3"; give milliseconds as a number, or a text like '30s' or '5 minutes'.`],
    ['5s 3ms', `wait is "5s 3ms"; give milliseconds as a number, or a text like '30s' or '5 minutes'.`],
    [NaN, `wait is NaN; give milliseconds as a number, or a text like '30s' or '5 minutes'.`],
    [null, `wait is null; give milliseconds as a number, or a text like '30s' or '5 minutes'.`],
    [5n, `wait is 5n; give milliseconds as a number, or a text like '30s' or '5 minutes'.`],
    [{}, `wait is an object; give milliseconds as a number, or a text like '30s' or '5 minutes'.`],
    [[5], `wait is an array; give milliseconds as a number, or a text like '30s' or '5 minutes'.`],
    [true, `wait is true; give milliseconds as a number, or a text like '30s' or '5 minutes'.`],
    [1.5, 'wait is 1.5; give a whole number of milliseconds.'],
    ['1.0005s', 'wait is "1.0005s"; give a whole number of milliseconds.'],
    [-Infinity, 'wait is -Infinity; give a whole number of milliseconds.'],
    [-1, 'wait is -1; it must be between 0 ms and 2592000000 ms, or Infinity.'],
    ['-1s', 'wait is "-1s"; it must be between 0 ms and 2592000000 ms, or Infinity.'],
    [2_592_000_001, 'wait is 2592000001; it must be between 0 ms and 2592000000 ms, or Infinity.'],
    ['5 weeks', 'wait is "5 weeks"; it must be between 0 ms and 2592000000 ms, or Infinity.'],
  ])('[3] %p is refused in a sentence', (value, message) => {
    expect(() => parse(value)).toThrow(new LockConfigurationError(message));
  });

  it('[3] Infinity is refused where there has to be an end', () => {
    const limits = { minMs: 20, maxMs: 1_000 };
    expect(() => durationMs('ttl', Infinity, limits)).toThrow(
      new LockConfigurationError('ttl is Infinity; give a whole number of milliseconds.'),
    );
    expect(() => durationMs('ttl', 19, limits)).toThrow(
      new LockConfigurationError('ttl is 19; it must be between 20 ms and 1000 ms.'),
    );
  });

  it('[3] a very long text is refused without being searched, and shortened in the message', () => {
    const text = `${'9'.repeat(50_000)}x`;
    expect(() => parse(text)).toThrow(LockConfigurationError);
    expect(() => parse(text)).toThrow(/^wait is "9{78}…; give milliseconds/);
  });
});
