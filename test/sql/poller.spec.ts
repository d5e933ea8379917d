import { describe, expect, it } from '@jest/globals';
import { ManualClock } from 'nestjs-interlock/testing';
import type { Claim } from '../../lib/backends/lock-backend.js';
import { Poller } from '../../lib/backends/sql/poller.js';
import type { SqlSession } from '../../lib/backends/sql/sql-session.js';

describe('the questions of those whom nobody tells of their turn', () => {
  const clock = new ManualClock();
  const asked: string[][] = [];
  const session = {
    clock,
    step: (_verb: string, _what: string, [, owners]: readonly string[][]) => {
      asked.push([...(owners ?? [])]);
      return Promise.resolve(['0'.repeat(owners?.length ?? 0)]);
    },
  } as unknown as SqlSession;
  const poller = new Poller(session);
  const listener = { hint: () => undefined, stoodAt: () => undefined };
  const claim = (owner: string): Claim => ({
    key: 'k',
    owner,
    mode: 'exclusive',
    take: 1,
    of: 1,
    ttlMs: 1_000,
    queue: true,
  });

  it('[15] end with the last of them, and leave no timer', async () => {
    poller.listen(claim('a'), listener);
    await clock.advance(10);
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.every((owners) => owners.join() === 'a')).toBe(true);
    asked.length = 0;
    poller.forget('a');
    await clock.advance(1_000);
    expect(asked).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('[15] are made for a thousand at a time, and for all of them', async () => {
    const owners = Array.from({ length: 2_500 }, (_, nth) => `owner-${nth}`);
    for (const owner of owners) poller.listen(claim(owner), listener);
    await clock.advance(20);
    expect(Math.max(...asked.map(({ length }) => length))).toBe(1_000);
    expect(new Set(asked.flat())).toEqual(new Set(owners));
    poller.close();
    expect(clock.pendingTimers).toBe(0);
  });
});
