import assert from 'node:assert/strict';
import type { Claim } from '../../../backends/lock-backend.js';
import { cases } from '../contract-case.js';
import { expectGrant, expectPlace, type Trial } from '../trial.js';

function take(t: Trial, permits: number, of: number, given: Partial<Claim> = {}): Claim {
  return t.claim('permits', { take: permits, of, ...given });
}

async function neverMoreThanThereAre(t: Trial): Promise<void> {
  const grants = [];
  for (let n = 0; n < 3; n++) grants.push(await t.granted(take(t, 1, 3)));
  await t.busy(take(t, 1, 3));
  await t.backend.release(grants[1] ?? assert.fail());
  await t.granted(take(t, 1, 3));
  await t.busy(take(t, 1, 3));
  const { holders, of } = await t.snapshot();
  assert.deepEqual([holders.length, of], [3, 3]);
}

async function sumsWhatIsTaken(t: Trial): Promise<void> {
  const three = await t.granted(take(t, 3, 5));
  await t.busy(take(t, 3, 5));
  const { holders } = await t.snapshot();
  assert.deepEqual(
    holders.map((holder) => holder.take),
    [3],
    'a refused request takes nothing',
  );
  const two = await t.granted(take(t, 2, 5));
  await t.busy(take(t, 1, 5));
  await t.backend.release(three);
  await t.granted(take(t, 3, 5));
  await t.backend.release(two);
}

async function smallestNumberCounts(t: Trial): Promise<void> {
  const small = await t.granted(take(t, 2, 3));
  await t.busy(take(t, 2, 10));
  await t.granted(take(t, 1, 10));
  assert.equal((await t.snapshot()).of, 3);
  await t.busy(take(t, 1, 10));
  await t.backend.release(small);
  await t.granted(take(t, 8, 10));
  assert.equal((await t.snapshot()).of, 10);
  await t.busy(take(t, 1, 3));
}

async function largeRequestsAreNotStarved(t: Trial): Promise<void> {
  const first = await t.granted(take(t, 1, 3));
  const second = await t.granted(take(t, 1, 3));
  const large = await t.queued('permits', { take: 3, of: 3 });
  await t.busy(take(t, 1, 3));
  const small = await t.queued('permits', { take: 1, of: 3 });
  await t.backend.release(first);
  expectPlace(await small.retry());
  expectPlace(await large.retry());
  await t.backend.release(second);
  expectPlace(await small.retry());
  await t.backend.release(expectGrant(await large.retry()));
  expectGrant(await small.retry());
}

async function wakesAllWhoFit(t: Trial): Promise<void> {
  const all = await t.granted(take(t, 4, 4));
  const places = [];
  for (const permits of [1, 2, 2, 1]) {
    const place = await t.queued('permits', { take: permits, of: 4 });
    places.push({ place, hints: t.listen(place) });
  }
  await t.backend.release(all);
  const [first, second, third, fourth] = places;
  assert(first && second && third && fourth);
  await t.hinted(first.hints, 'the first');
  expectGrant(await first.place.retry());
  await t.hinted(second.hints, 'the second, who fits beside the first');
  expectGrant(await second.place.retry());
  await t.quiet();
  assert.deepEqual(
    [third.hints.count, fourth.hints.count],
    [0, 0],
    'nobody who does not fit, nor behind them',
  );
  expectPlace(await third.place.retry());
  expectPlace(await fourth.place.retry());
}

async function returnAtExpiry(t: Trial): Promise<void> {
  await t.granted(take(t, 2, 3, { ttlMs: t.shortTtlMs }));
  const alive = await t.granted(take(t, 1, 3));
  await t.busy(take(t, 1, 3));
  await t.expire();
  await t.granted(take(t, 2, 3));
  await t.busy(take(t, 1, 3));
  assert.deepEqual(await t.backend.renew([alive]), ['renewed']);
}

async function neverTooManyInside(t: Trial): Promise<void> {
  const backends = [t.backend, (await t.connect()).backend];
  let inside = 0;
  let most = 0;
  const contend = async (n: number): Promise<void> => {
    const permits = (n % 3) + 1;
    const backend = backends[n % 2] ?? t.backend;
    const grant = await t.acquire(take(t, permits, 5, { queue: true }), backend);
    inside += permits;
    most = Math.max(most, inside);
    await t.sleep(2);
    inside -= permits;
    await backend.release(grant);
  };
  await t.drive(Promise.all(Array.from({ length: 60 }, (_, n) => contend(n))), 'sixty turns');
  assert(most <= 5, `never more than 5 permits taken, and there were ${most}`);
  assert(most > 3, 'several hold at once');
}

async function oneOfOneIsAlone(t: Trial): Promise<void> {
  const grant = await t.granted(take(t, 1, 1));
  await t.busy(take(t, 1, 1));
  await t.backend.release(grant);
  await t.granted(take(t, 1, 1));
}

const modes = ['permits'] as const;

export const permits = cases('permits', [
  { id: 'permits-alone', lines: [42], title: 'excludes others by one of one', modes, run: oneOfOneIsAlone },
  {
    id: 'permits-maximum',
    lines: [42],
    title: 'never gives out more permits than there are',
    modes,
    run: neverMoreThanThereAre,
  },
  {
    id: 'permits-weighted',
    lines: [42],
    title: 'grants a weighted request whole or not at all',
    modes,
    run: sumsWhatIsTaken,
  },
  {
    id: 'permits-smallest',
    lines: [42],
    title: 'counts by the smallest number of permits that a holder knows',
    modes,
    run: smallestNumberCounts,
  },
  {
    id: 'permits-large',
    lines: [42],
    title: 'does not starve a large request by small ones',
    modes,
    wakeUp: ['queue'],
    run: largeRequestsAreNotStarved,
  },
  {
    id: 'permits-woken',
    lines: [15, 42],
    title: 'wakes who fits, in order',
    modes,
    wakeUp: ['queue'],
    run: wakesAllWhoFit,
  },
  {
    id: 'permits-expiry',
    lines: [42],
    title: 'takes back the permits of a dead holder at expiry',
    modes,
    run: returnAtExpiry,
  },
  {
    id: 'permits-contended',
    lines: [6, 42],
    title: 'keeps within the permits under contention',
    modes,
    run: neverTooManyInside,
  },
]);
