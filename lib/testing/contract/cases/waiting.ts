import assert from 'node:assert/strict';
import type { LockMode } from '../../../backends/lock-backend.js';
import { cases } from '../contract-case.js';
import { expectGrant, expectPlace, type Trial } from '../trial.js';

async function hearsOfAReleaseBeforeListening(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  const place = await t.queued();
  await t.backend.release(holder);
  const hints = t.listen(place);
  await t.hinted(hints, 'a waiter who began to listen after the release');
  expectGrant(await place.retry());
}

async function retryDecidesWithoutHint(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  const place = await t.queued();
  expectPlace(await place.retry());
  await t.backend.release(holder);
  expectGrant(await place.retry());
}

async function keepsTheOthersListening(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  const leaver = t.claim('exclusive', { queue: true });
  t.listen(await t.busy(leaver));
  const place = await t.queued();
  const hints = t.listen(place);
  await t.backend.abandon(leaver);
  await t.backend.release(holder);
  await t.hinted(hints, 'the waiter who stayed');
  expectGrant(await place.retry());
}

async function hintsOnlyWhoComesNext(t: Trial): Promise<void> {
  let holder = await t.granted(t.claim());
  const line = [];
  for (let n = 0; n < 6; n++) {
    const place = await t.queued();
    line.push({ place, hints: t.listen(place) });
  }
  for (const [n, { place, hints }] of line.slice(0, 3).entries()) {
    await t.backend.release(holder);
    await t.hinted(hints, `number ${n} in the line`);
    await t.quiet();
    const counts: number[] = line.map((waiter) => waiter.hints.count);
    assert.deepEqual(
      counts,
      line.map((_, i) => (i <= n ? 1 : 0)),
      'one hint for each hand-off',
    );
    holder = expectGrant(await place.retry());
  }
}

async function wakesSomebody(t: Trial): Promise<void> {
  const other = await t.connect();
  const holder = await t.granted(t.claim(), other.backend);
  const hints = [t.listen(await t.queued()), t.listen(await t.queued())];
  await other.backend.release(holder);
  await t.until(() => hints.some(({ count }) => count > 0), 'a hint for one of the waiters');
}

async function hintsAcrossClients(t: Trial): Promise<void> {
  const other = await t.connect();
  const holder = await t.granted(t.claim());
  const place = await t.queued('exclusive', {}, other.backend);
  const hints = t.listen(place);
  await t.backend.release(holder);
  await t.hinted(hints, 'a waiter at another client');
  expectGrant(await place.retry());
}

async function replacesTheCallback(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  const place = await t.queued();
  const earlier = t.listen(place);
  const later = t.listen(place);
  await t.backend.release(holder);
  await t.hinted(later, 'the callback given last');
  assert.equal(earlier.count, 0, 'the one before is not called any more');
}

async function hintsNobodyAfterwards(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  const winner = await t.queued();
  const won = t.listen(winner);
  const leaver = t.claim('exclusive', { queue: true });
  const left = t.listen(await t.busy(leaver));
  await t.backend.abandon(leaver);
  await t.backend.release(holder);
  const grant = expectGrant(await winner.retry());
  await t.quiet();
  const before = won.count;
  await t.backend.release(grant);
  await t.expectFree();
  await t.quiet();
  assert.equal(won.count, before, 'no hint after the grant');
  assert.equal(left.count, 0, 'no hint after the abandonment');
}

async function outlastsASilentHolder(mode: LockMode, t: Trial): Promise<void> {
  const holder = await t.granted(t.claim(mode, { ttlMs: t.shortTtlMs }));
  const place = await t.busy(t.rival(mode, { queue: true }));
  const { expiresInMs } = place.busy;
  assert(
    expiresInMs !== undefined && expiresInMs > 0 && expiresInMs <= t.shortTtlMs + t.lockDelayMs,
    'busy says when to ask again',
  );
  await t.drive(t.waitFor(place), 'the key of a silent holder', 10_000);
  assert(t.clock.now() >= holder.sentAtMs + t.shortTtlMs - 5, 'but not before its ttl');
}

async function claimAgainIsTheSameGrant(mode: LockMode, t: Trial): Promise<void> {
  const claim = t.claim(mode);
  const first = await t.granted(claim);
  const again = await t.granted(claim);
  assert.equal(again.fence, first.fence, 'the same fence');
  const { holders } = await t.snapshot();
  assert.deepEqual(
    holders.map(({ owner, take }) => [owner, take]),
    [[claim.owner, claim.take]],
    'one holder',
  );
  assert.equal(await t.backend.release(again), 'released');
  assert.equal(await t.backend.inspect(t.key), null, 'one release frees it');
}

async function claimAgainCountsTheLeaseAnew(t: Trial): Promise<void> {
  const ttlMs = t.shortTtlMs * 4;
  const claim = t.claim('exclusive', { ttlMs });
  const first = await t.granted(claim);
  await t.wait(ttlMs / 2);
  const again = await t.granted(claim);
  assert.equal(again.fence, first.fence);
  assert(again.sentAtMs >= first.sentAtMs + ttlMs / 2 - 5, 'sentAtMs is that of the later request');
  await t.wait(ttlMs * 0.6);
  await t.busy(t.claim());
}

async function claimAgainKeepsThePlace(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  const first = t.claim('exclusive', { queue: true });
  await t.busy(first);
  const second = await t.queued();
  const again = await t.busy(first);
  assert.equal((await t.snapshot()).waiting, 2, 'a claim stands in the line once');
  await t.backend.release(holder);
  expectPlace(await second.retry());
  expectGrant(await again.retry());
}

async function retryFindsItsGrant(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  const claim = t.claim('exclusive', { queue: true });
  const place = await t.busy(claim);
  await t.backend.release(holder);
  const lost = expectGrant(await place.retry());
  assert.equal(expectGrant(await place.retry()).fence, lost.fence, 'by a retry');
  assert.equal((await t.granted(claim)).fence, lost.fence, 'by a claim');
  assert.equal((await t.snapshot()).waiting, 0);
}

async function countsThoseAhead(t: Trial): Promise<void> {
  await t.granted(t.claim());
  for (let n = 0; n < 3; n++) {
    const { busy } = await t.queued();
    if (busy.ahead !== undefined) assert.equal(busy.ahead, n, 'those who stand before it');
    assert.equal((await t.snapshot()).waiting, n + 1);
  }
}

export const waiting = cases('waiting', [
  {
    id: 'retry-decides',
    lines: [9, 12],
    title: 'grants a retry after the release, hint or no hint',
    run: retryDecidesWithoutHint,
  },
  {
    id: 'release-before-listening',
    lines: [12],
    title: 'does not miss a release between the failed try and the start of listening',
    wakeUp: ['queue'],
    run: hearsOfAReleaseBeforeListening,
  },
  {
    id: 'leaver-deafens-nobody',
    lines: [13],
    title: 'goes on hinting the others when one waiter leaves',
    wakeUp: ['queue'],
    run: keepsTheOthersListening,
  },
  {
    id: 'one-hint-a-hand-off',
    lines: [15],
    title: 'hints only who comes next, once for each hand-off',
    wakeUp: ['queue'],
    run: hintsOnlyWhoComesNext,
  },
  {
    id: 'hint',
    lines: [15],
    title: 'hints a waiter at a release',
    wakeUp: ['queue', 'notify'],
    run: wakesSomebody,
  },
  {
    id: 'hint-across-clients',
    lines: [15],
    title: 'hints a waiter who came by another client',
    wakeUp: ['queue', 'notify'],
    run: hintsAcrossClients,
  },
  {
    id: 'hint-callback-replaced',
    title: 'hints the callback given last, and no other',
    wakeUp: ['queue'],
    run: replacesTheCallback,
  },
  {
    id: 'no-hint-afterwards',
    lines: [10],
    title: 'hints nobody after a grant or an abandonment',
    run: hintsNobodyAfterwards,
  },
  {
    id: 'silent-holder',
    lines: [16, 17],
    title: 'gives a waiter the key of a silent holder at its ttl, not before',
    runIn: outlastsASilentHolder,
  },
  {
    id: 'claim-again',
    lines: [30],
    title: 'answers a repeated claim with the same grant',
    runIn: claimAgainIsTheSameGrant,
  },
  {
    id: 'claim-again-lease',
    title: 'counts the lease anew when a claim is repeated',
    run: claimAgainCountsTheLeaseAnew,
  },
  {
    id: 'claim-again-place',
    lines: [36],
    title: 'keeps the place of a waiter who repeats the claim',
    wakeUp: ['queue'],
    run: claimAgainKeepsThePlace,
  },
  {
    id: 'retry-finds-grant',
    lines: [11],
    title: 'lets a waiter whose grant was lost find it again',
    run: retryFindsItsGrant,
  },
  {
    id: 'waiters-counted',
    lines: [32],
    title: 'counts those who wait',
    wakeUp: ['queue'],
    run: countsThoseAhead,
  },
]);
