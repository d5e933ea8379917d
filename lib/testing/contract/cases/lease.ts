import assert from 'node:assert/strict';
import type { Grant, LockMode } from '../../../backends/lock-backend.js';
import { cases } from '../contract-case.js';
import { LONG_TTL_MS, sideBySide, type Trial } from '../trial.js';

const BATCH = 1_000;

async function expires(mode: LockMode, t: Trial): Promise<void> {
  const grant = await t.granted(t.claim(mode, { ttlMs: t.shortTtlMs }));
  await t.expire();
  assert.deepEqual(await t.backend.renew([grant]), ['gone']);
  assert.equal(await t.backend.inspect(t.key), null);
  await t.granted(t.rival(mode));
}

async function isKeptByRenewal(mode: LockMode, t: Trial): Promise<void> {
  const ttlMs = t.shortTtlMs * 4;
  const grant = await t.granted(t.claim(mode, { ttlMs }));
  await t.wait(ttlMs / 2);
  assert.deepEqual(await t.backend.renew([grant]), ['renewed']);
  await t.wait(ttlMs * 0.6);
  await t.busy(t.rival(mode));
  assert.deepEqual(await t.backend.renew([grant]), ['renewed']);
}

async function setsTheRemainingLease(mode: LockMode, t: Trial): Promise<void> {
  const grant = await t.granted(t.claim(mode, { ttlMs: t.shortTtlMs }));
  const longer: Grant = { ...grant, claim: { ...grant.claim, ttlMs: LONG_TTL_MS } };
  assert.deepEqual(await t.backend.renew([longer]), ['renewed']);
  await t.expire();
  await t.busy(t.rival(mode));
  const [holder] = (await t.snapshot()).holders;
  assert(holder && holder.expiresInMs > LONG_TTL_MS / 2, 'the longer lease counts');
  assert.equal(holder.fence, grant.fence, 'a renewal mints no fence');
  assert.deepEqual(await t.backend.renew([grant]), ['renewed']);
  await t.expire();
  await t.granted(t.rival(mode));
}

async function staysReleased(mode: LockMode, t: Trial): Promise<void> {
  const grant = await t.granted(t.claim(mode));
  assert.equal(await t.backend.release(grant), 'released');
  assert.deepEqual(await t.backend.renew([grant]), ['gone']);
  assert.equal(await t.backend.inspect(t.key), null, 'a renewal does not revive a released key');
  await t.granted(t.rival(mode));
}

async function staysReleasedInFlight(t: Trial): Promise<void> {
  const grant = await t.granted(t.claim());
  const [released] = await Promise.all([t.backend.release(grant), t.backend.renew([grant])]);
  assert.equal(released, 'released');
  assert.equal(await t.backend.inspect(t.key), null);
  await t.expectFree();
}

async function renewsInOneCall(t: Trial): Promise<void> {
  const claims = Array.from({ length: BATCH }, (_, n) =>
    t.claim('exclusive', { key: t.keyOf(`batch-${n}`) }),
  );
  const grants = await sideBySide(claims, (claim) => t.granted(claim));
  const outcomes = await t.backend.renew(grants);
  assert.equal(outcomes.length, BATCH);
  assert(
    outcomes.every((outcome) => outcome === 'renewed'),
    'every lease was renewed',
  );
}

async function answersInOrder(t: Trial): Promise<void> {
  const grants: Grant[] = [];
  for (let n = 0; n < 6; n++)
    grants.push(await t.granted(t.claim('exclusive', { key: t.keyOf(`order-${n}`) })));
  for (const grant of grants.filter((_, n) => n % 2 === 0)) await t.backend.release(grant);
  const expected = grants.map((_, n) => (n % 2 === 0 ? 'gone' : 'renewed'));
  assert.deepEqual(await t.backend.renew(grants), expected);
  assert.deepEqual(await t.backend.renew([...grants].reverse()), [...expected].reverse());
  assert.deepEqual(await t.backend.renew([]), []);
}

async function isGoneAfterEviction(mode: LockMode, t: Trial): Promise<void> {
  const grant = await t.granted(t.claim(mode));
  assert.equal(await t.backend.evict(t.key), true);
  assert.deepEqual(await t.backend.renew([grant]), ['gone']);
  assert.equal(await t.backend.release(grant), 'gone');
  const successor = await t.granted(t.rival(mode));
  assert.deepEqual(await t.backend.renew([grant]), ['gone']);
  assert.deepEqual(await t.backend.renew([successor]), ['renewed']);
}

async function givesNoMoreThanTheServer(mode: LockMode, t: Trial): Promise<void> {
  const grant = await t.granted(t.claim(mode));
  const localMs = grant.sentAtMs + LONG_TTL_MS - t.clock.now();
  const [holder] = (await t.snapshot()).holders;
  assert(holder, 'there is a holder');
  // the server may round to whole milliseconds, and some time passes while it is asked
  assert(holder.expiresInMs <= LONG_TTL_MS, 'the server grants the ttl, not more');
  assert(holder.expiresInMs >= localMs - 5_000, 'nor much less');
}

export const lease = cases('lease', [
  { id: 'expiry', lines: [17], title: 'lets a lease expire that is not renewed', runIn: expires },
  { id: 'renewal', lines: [17], title: 'keeps a lease that is renewed', runIn: isKeptByRenewal },
  {
    id: 'renewal-ttl',
    lines: [27],
    title: 'sets the remaining lease to the ttl that a renewal names, longer or shorter',
    runIn: setsTheRemainingLease,
  },
  {
    id: 'no-revival',
    lines: [19],
    title: 'does not revive a released key by a renewal',
    runIn: staysReleased,
  },
  {
    id: 'no-revival-in-flight',
    lines: [19],
    title: 'does not revive a key that is released while a renewal is on its way',
    run: staysReleasedInFlight,
  },
  { id: 'renew-batch', lines: [28], title: 'renews a thousand leases in one call', run: renewsInOneCall },
  {
    id: 'renew-order',
    lines: [28],
    title: 'answers a batch in its order, for each lease by itself',
    run: answersInOrder,
  },
  {
    id: 'evicted-gone',
    lines: [21, 32],
    title: 'says that an evicted lease is gone',
    runIn: isGoneAfterEviction,
  },
  {
    id: 'validity',
    lines: [26],
    title: 'grants the ttl that was asked for',
    runIn: givesNoMoreThanTheServer,
  },
]);
