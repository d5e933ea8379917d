import assert from 'node:assert/strict';
import type { LockMode } from '../../../backends/lock-backend.js';
import { cases } from '../contract-case.js';
import { expectBackendError, expectGrant, expectPlace, type Trial } from '../trial.js';

async function givesUpThePlace(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  const claim = t.claim('exclusive', { queue: true });
  await t.busy(claim);
  await t.backend.abandon(claim);
  assert.equal((await t.snapshot()).waiting, 0, 'nobody stands in the line');
  await t.backend.release(holder);
  assert.equal(await t.backend.inspect(t.key), null, 'nor is the key kept for anybody');
  await t.expectFree();
}

async function givesUpTheGrant(mode: LockMode, t: Trial): Promise<void> {
  const claim = t.claim(mode);
  const grant = await t.granted(claim);
  await t.backend.abandon(claim);
  assert.equal(await t.backend.inspect(t.key), null);
  assert.deepEqual(await t.backend.renew([grant]), ['gone']);
  await t.granted(t.rival(mode));
}

async function wakesTheNext(t: Trial): Promise<void> {
  const claim = t.claim();
  await t.granted(claim);
  const place = await t.queued();
  const hints = t.listen(place);
  await t.backend.abandon(claim);
  await t.hinted(hints, 'the next in the line');
  expectGrant(await place.retry());
}

async function headLeavesForTheNext(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  const head = t.claim('exclusive', { queue: true });
  const headHints = t.listen(await t.busy(head));
  const place = await t.queued();
  const hints = t.listen(place);
  await t.backend.release(holder);
  await t.hinted(headHints, 'the head of the line');
  await t.backend.abandon(head);
  await t.hinted(hints, 'the one behind the head that left');
  expectGrant(await place.retry());
}

/** What overtakes it on the way is up to the network; that it is denied then is not. */
async function grantedOrDenied(asked: Promise<unknown>): Promise<void> {
  const outcome = await asked.then(
    () => 'granted',
    () => 'rejected',
  );
  if (outcome === 'rejected') await expectBackendError(asked, 'denied');
}

async function inFlight(mode: LockMode, t: Trial): Promise<void> {
  const claim = t.claim(mode, { queue: true });
  const asked = grantedOrDenied(t.backend.claim(claim));
  await t.backend.abandon(claim);
  await asked;
  assert.equal(await t.backend.inspect(t.key), null, 'nothing of that owner remains');
  await t.granted(t.rival(mode));
}

async function retryInFlight(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  const claim = t.claim('exclusive', { queue: true });
  const place = await t.busy(claim);
  const released = t.backend.release(holder);
  const asked = grantedOrDenied(place.retry());
  await Promise.all([released, asked, t.backend.abandon(claim)]);
  assert.equal(await t.backend.inspect(t.key), null, 'nothing of that owner remains');
  await t.expectFree();
}

async function lateClaim(mode: LockMode, t: Trial): Promise<void> {
  for (const queue of [true, false]) {
    const claim = t.claim(mode, { queue });
    await t.backend.abandon(claim);
    await expectBackendError(t.backend.claim(claim), 'denied');
    assert.equal(await t.backend.inspect(t.key), null);
  }
  await t.granted(t.rival(mode));
}

async function lateClaimAfterGrant(t: Trial): Promise<void> {
  const claim = t.claim('exclusive', { queue: true });
  await t.granted(claim);
  await t.backend.abandon(claim);
  const other = await t.connect();
  await expectBackendError(other.backend.claim(claim), 'denied');
  await t.expectFree();
}

async function lateRetry(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  const claim = t.claim('exclusive', { queue: true });
  const place = await t.busy(claim);
  await t.backend.abandon(claim);
  await expectBackendError(place.retry(), 'denied');
  assert.equal((await t.snapshot()).waiting, 0);
  await t.backend.release(holder);
  await expectBackendError(place.retry(), 'denied');
  await t.expectFree();
}

async function isIdempotent(t: Trial): Promise<void> {
  const claim = t.claim();
  await t.granted(claim);
  await t.backend.abandon(claim);
  const successor = await t.granted(t.claim());
  await t.backend.abandon(claim);
  assert.deepEqual(await t.backend.renew([successor]), ['renewed'], 'a successor is left alone');
  await t.busy(t.claim());
}

async function touchesNobodyElse(t: Trial): Promise<void> {
  const elsewhere = t.keyOf('elsewhere');
  const claim = t.claim('exclusive', { queue: true });
  const same = await t.granted({ ...claim, key: elsewhere });
  const holder = await t.granted(t.claim());
  await t.busy(claim);
  const behind = await t.queued();
  await t.backend.abandon(claim);
  assert.deepEqual(await t.backend.renew([holder, same]), ['renewed', 'renewed']);
  expectPlace(await behind.retry());
}

export const abandonment = cases('abandonment', [
  {
    id: 'abandon-place',
    lines: [10],
    title: 'leaves no entry of a waiter who gives up',
    run: givesUpThePlace,
  },
  {
    id: 'abandon-grant',
    lines: [11],
    title: 'gives back what was granted to an owner who gives up',
    runIn: givesUpTheGrant,
  },
  {
    id: 'abandon-wakes',
    lines: [11],
    title: 'wakes who comes next when a holder gives up',
    wakeUp: ['queue', 'notify'],
    run: wakesTheNext,
  },
  {
    id: 'abandon-at-grant',
    lines: [11, 13],
    title: 'wakes the one behind when the head gives up at the moment of its grant',
    wakeUp: ['queue'],
    run: headLeavesForTheNext,
  },
  {
    id: 'abandon-in-flight',
    lines: [10, 11],
    title: 'leaves nothing of a claim abandoned in flight',
    runIn: inFlight,
  },
  {
    id: 'abandon-retry',
    lines: [11],
    title: 'leaves nothing of a retry abandoned in flight',
    run: retryInFlight,
  },
  {
    id: 'late-claim',
    lines: [11, 19],
    title: 'denies a claim that arrives after it was abandoned',
    runIn: lateClaim,
  },
  {
    id: 'late-claim-after-grant',
    lines: [11, 19],
    title: 'denies a repeated claim that arrives after its grant was abandoned, from any client',
    run: lateClaimAfterGrant,
  },
  {
    id: 'late-retry',
    lines: [11],
    title: 'denies a retry that arrives after it was abandoned',
    run: lateRetry,
  },
  {
    id: 'abandon-again',
    lines: [29],
    title: 'does no harm when an abandonment is repeated',
    run: isIdempotent,
  },
  {
    id: 'abandon-alone',
    lines: [13],
    title: 'touches no other key and no other owner',
    run: touchesNobodyElse,
  },
]);
