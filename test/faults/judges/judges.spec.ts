import { describe, expect, it } from '@jest/globals';
import { Random } from '../simulator/random.js';
import { fallenFences, overlapsOf, worstOverlap, type Belief } from './belief.js';
import { fencedHolds, fencedViolation } from './fenced-holds.js';
import { expiryOf, type Operation, type Result, type Verb } from './history.js';
import { LeakJudge } from './leaks.js';
import { isLinearizable } from './search.js';
import { fenced, ownerAware, readWrite, reentrant, semaphore } from './sequential-spec.js';
import { EXCLUSIVE, type Share } from './share.js';

const SHARED: Share = { mode: 'shared', take: 1, of: 0 };

interface More {
  readonly result?: Result;
  readonly fence?: bigint;
  readonly share?: Share;
}

function op(f: Verb, owner: string, inv: number, ret: number, more: More = {}): Operation {
  return { f, owner, inv, ret, result: 'ok', ...more };
}

describe('the search for an order', () => {
  it('lets one owner in after the other, and nobody beside or instead', () => {
    const good = [op('acquire', 'a', 0, 1), op('release', 'a', 2, 5), op('acquire', 'b', 3, 4)];
    expect(isLinearizable(good, ownerAware)).toBe(true);
    expect(isLinearizable([op('acquire', 'a', 0, 1), op('acquire', 'b', 2, 3)], ownerAware)).toBe(false);
    const theft = [op('acquire', 'a', 0, 1), op('release', 'b', 2, 3)];
    expect(isLinearizable(theft, ownerAware)).toBe(false);
    const early = [op('acquire', 'a', 0, 1), op('acquire', 'b', 2, 3), op('release', 'a', 4, 5)];
    expect(isLinearizable(early, ownerAware)).toBe(false);
  });

  it('drops what failed, and takes what is unknown as it fits', () => {
    const failed = [op('acquire', 'a', 0, 1), op('acquire', 'b', 2, 3, { result: 'failed' })];
    expect(isLinearizable(failed, ownerAware)).toBe(true);
    const late = op('release', 'a', 2, 3, { result: 'unknown' });
    expect(isLinearizable([op('acquire', 'a', 0, 1), late, op('acquire', 'b', 9, 10)], ownerAware)).toBe(
      true,
    );
    const ghost = op('acquire', 'x', 0, 1, { result: 'unknown' });
    expect(isLinearizable([ghost, op('acquire', 'b', 9, 10)], ownerAware)).toBe(true);
    expect(isLinearizable([op('acquire', 'a', 4, 5), op('acquire', 'b', 0, 1), late], ownerAware)).toBe(
      false,
    );
  });

  it('lets a lease expire, not before its ttl counted from the last renewal', () => {
    const history = (takenAt: number): Operation[] => [
      op('acquire', 'a', 0, 1),
      expiryOf('a', 10, 20),
      op('acquire', 'b', 11, takenAt),
    ];
    expect(isLinearizable(history(30), ownerAware)).toBe(true);
    expect(isLinearizable(history(29), ownerAware)).toBe(false);
  });

  it('counts the entries of one owner', () => {
    const twice = [op('acquire', 'a', 0, 1), op('acquire', 'a', 2, 3)];
    expect(isLinearizable(twice, reentrant(2))).toBe(true);
    expect(isLinearizable(twice, reentrant(1))).toBe(false);
    const halfFree = [...twice, op('release', 'a', 4, 5), op('acquire', 'b', 6, 7)];
    expect(isLinearizable(halfFree, reentrant(2))).toBe(false);
    const tooOften = [...twice, op('release', 'a', 4, 5), op('release', 'a', 6, 7), op('release', 'a', 8, 9)];
    expect(isLinearizable(tooOften, reentrant(2))).toBe(false);
  });

  it('wants fences to rise', () => {
    const history = (second: bigint): Operation[] => [
      op('acquire', 'a', 0, 1, { fence: 4n }),
      op('release', 'a', 2, 3),
      op('acquire', 'b', 4, 5, { fence: second }),
    ];
    expect(isLinearizable(history(5n), fenced)).toBe(true);
    expect(isLinearizable(history(4n), fenced)).toBe(false);
    expect(isLinearizable(history(4n), ownerAware)).toBe(true);
  });

  it('adds up permits', () => {
    const take = (n: number): Share => ({ mode: 'permits', take: n, of: 3 });
    const two = [op('acquire', 'a', 0, 1, { share: take(2) }), op('acquire', 'b', 2, 3, { share: take(1) })];
    expect(isLinearizable(two, semaphore(3))).toBe(true);
    expect(isLinearizable(two, semaphore(2))).toBe(false);
    expect(isLinearizable([...two, op('acquire', 'c', 4, 5)], semaphore(3))).toBe(false);
  });

  it('lets readers in together, and a writer alone', () => {
    const readers = [
      op('acquire', 'a', 0, 1, { share: SHARED }),
      op('acquire', 'b', 2, 3, { share: SHARED }),
    ];
    expect(isLinearizable(readers, readWrite)).toBe(true);
    expect(isLinearizable([...readers, op('acquire', 'w', 4, 5)], readWrite)).toBe(false);
    const ends = [op('release', 'a', 4, 5), op('release', 'b', 5, 9), op('acquire', 'w', 6, 8)];
    expect(isLinearizable([...readers, ...ends], readWrite)).toBe(true);
  });
});

/** A history of one key: mostly what a lock would do, and now and then something that none would. */
function randomHistory(random: Random): Operation[] {
  const history: Operation[] = [];
  let [atMs, fence] = [0, 0];
  const holds = random.whole(1, 7);
  const spoil = random.chance(0.5) ? 0.25 : 0;
  const jitter = (): number => random.whole(0, 4);
  for (let n = 0; n < holds; n++) {
    const owner = `o${n}`;
    if (!random.chance(spoil)) atMs += jitter();
    fence += random.chance(spoil) ? random.whole(-2, 0) : random.whole(1, 2);
    const [inv, ret] = [atMs - jitter(), atMs + jitter()];
    history.push(op('acquire', owner, inv, ret, { fence: BigInt(fence + 100) }));
    const kind = random.next();
    const calledAt = ret + jitter();
    if (kind < 0.6) history.push(op('release', owner, calledAt, calledAt + jitter()));
    else if (kind < 0.8) history.push(op('release', owner, calledAt, calledAt + 1, { result: 'unknown' }));
    if (kind > 0.5) history.push(expiryOf(owner, inv, random.whole(1, 9)));
    atMs = random.chance(spoil) ? atMs : Math.max(atMs, calledAt);
  }
  return history;
}

describe('the fast check of fenced holds', () => {
  it('agrees with the search on 20,000 random histories, good ones and bad ones', () => {
    const random = new Random(20_261_121);
    const tally = { good: 0, bad: 0 };
    for (let n = 0; n < 20_000; n++) {
      const history = randomHistory(random);
      const isGood = fencedViolation(fencedHolds(history)) === undefined;
      if (isLinearizable(history, fenced) !== isGood)
        expect({ n, history }).toBe('a history on which both agree');
      tally[isGood ? 'good' : 'bad']++;
    }
    expect(Math.min(tally.good, tally.bad)).toBeGreaterThan(2_000);
  });

  it('names the two that do not fit', () => {
    const history = [
      op('acquire', 'a', 0, 1, { fence: 1n }),
      op('acquire', 'b', 5, 6, { fence: 2n }),
      expiryOf('a', 0, 7),
    ];
    expect(fencedViolation(fencedHolds(history))).toMatchObject({
      before: { owner: 'a' },
      after: { owner: 'b' },
    });
    expect(fencedViolation(fencedHolds([...history.slice(0, 2), expiryOf('a', 0, 6)]))).toBeUndefined();
  });

  it('takes one fence for two holds as a violation', () => {
    const history = [
      op('acquire', 'a', 0, 1, { fence: 1n }),
      op('release', 'a', 2, 3),
      op('acquire', 'b', 4, 5, { fence: 1n }),
    ];
    expect(fencedViolation(fencedHolds(history))).toBeDefined();
  });
});

describe('the judge of beliefs', () => {
  const belief = (who: string, fromMs: number, untilMs: number, share = EXCLUSIVE, fence = who): Belief => ({
    key: 'k',
    who,
    fence: BigInt(fence.charCodeAt(0)),
    share,
    fromMs,
    untilMs,
  });

  it('measures the worst overlap in microseconds', () => {
    const beliefs = [belief('a', 0, 10), belief('b', 9.75, 12), belief('c', 11.999, 20)];
    expect(worstOverlap(beliefs)).toMatchObject({ key: 'k', us: 250, atMs: 9.75 });
    expect(worstOverlap([belief('a', 0, 10), belief('b', 10, 12)])).toBeUndefined();
  });

  it('knows who may be together, and that other keys are other locks', () => {
    const permits = (take: number): Share => ({ mode: 'permits', take, of: 3 });
    expect(worstOverlap([belief('a', 0, 9, SHARED), belief('b', 1, 9, SHARED)])).toBeUndefined();
    expect(worstOverlap([belief('a', 0, 9, SHARED), belief('b', 1, 2)])).toMatchObject({ us: 1_000 });
    const three = [
      belief('a', 0, 9, permits(1)),
      belief('b', 0, 5, permits(1)),
      belief('c', 2, 9, permits(2)),
    ];
    expect(worstOverlap(three)).toMatchObject({ us: 3_000 });
    expect(worstOverlap([belief('a', 0, 9), { ...belief('b', 0, 9), key: 'other' }])).toBeUndefined();
  });

  it('takes those who share one grant for one', () => {
    const shared = [belief('a', 0, 9), belief('b', 1, 9, EXCLUSIVE, 'a')];
    expect(worstOverlap(shared)).toBeUndefined();
    expect(worstOverlap([...shared, belief('c', 5, 9)])).toMatchObject({ us: 4_000 });
  });

  it('tells all overlaps, the longest first', () => {
    const beliefs = [belief('a', 0, 10), belief('b', 9, 13), belief('c', 11, 20)];
    expect(overlapsOf(beliefs).map(({ us }) => us)).toEqual([2_000, 1_000]);
  });

  it('wants a higher fence of whoever comes later, but not of those who hold it together', () => {
    const fell = ['k: fence 97 after 98'];
    expect(fallenFences([belief('a', 0, 1), belief('b', 2, 3)])).toEqual([]);
    expect(fallenFences([belief('b', 0, 1), belief('a', 2, 3)])).toEqual(fell);
    expect(fallenFences([belief('a', 2, 3), belief('b', 0, 1)])).toEqual(fell);
    expect(fallenFences([belief('b', 0, 3, SHARED), belief('a', 2, 3, SHARED)])).toEqual([]);
    const again = (fromMs: number): Belief => belief('b', fromMs, 9, EXCLUSIVE, 'a');
    expect(fallenFences([belief('a', 0, 5), again(4)])).toEqual([]);
    expect(fallenFences([belief('a', 0, 5), again(5)])).toEqual(['k: fence 97 after 97']);
  });
});

describe('the judge of leaks', () => {
  it('tells what there is more of than before, and only that', async () => {
    const keys = ['old'];
    let timers = 3;
    const judge = await LeakJudge.at([
      { what: 'keys', count: () => keys },
      { what: 'timers', count: async () => timers },
    ]);
    expect(await judge.leaks()).toEqual([]);
    keys.push('new');
    timers = 2;
    expect(await judge.leaks()).toEqual(['2 keys instead of 1: old, new']);
    timers = 5;
    expect((await judge.leaks())[1]).toBe('5 timers instead of 3');
  });
});
