import assert from 'node:assert/strict';
import type { Grant, LockMode } from '../../../backends/lock-backend.js';
import { cases } from '../contract-case.js';
import { expectGrant, type Trial } from '../trial.js';

async function staleOwnerIsPowerless(mode: LockMode, t: Trial): Promise<void> {
  const stale = await t.granted(t.claim(mode, { ttlMs: t.shortTtlMs }));
  await t.expire();
  const owner = await t.granted(t.rival(mode));
  assert.deepEqual(await t.backend.renew([stale]), ['gone']);
  assert.equal(await t.backend.release(stale), 'gone');
  await t.backend.abandon(stale.claim);
  await t.busy(t.rival(mode));
  assert.deepEqual(await t.backend.renew([owner]), ['renewed'], 'the new owner can extend');
  assert.equal(await t.backend.release(owner), 'released', 'and release');
}

async function releaseAfterExpiry(mode: LockMode, t: Trial): Promise<void> {
  const grant = await t.granted(t.claim(mode, { ttlMs: t.shortTtlMs }));
  await t.expire();
  assert.equal(await t.backend.release(grant), 'gone');
  assert.equal(await t.backend.inspect(t.key), null);
}

async function releaseTwice(t: Trial): Promise<void> {
  const grant = await t.granted(t.claim());
  assert.equal(await t.backend.release(grant), 'released');
  const successor = await t.granted(t.claim());
  assert(['released', 'gone'].includes(await t.backend.release(grant)), 'a repeated release does not throw');
  await t.busy(t.claim());
  assert.deepEqual(await t.backend.renew([successor]), ['renewed'], 'a successor is left alone');
}

async function handleWorksElsewhere(mode: LockMode, t: Trial): Promise<void> {
  const other = await t.connect();
  const grant = await t.granted(t.claim(mode));
  const handle = JSON.stringify({ ...grant, fence: String(grant.fence) });
  const carried = JSON.parse(handle) as Omit<Grant, 'fence'> & { fence: string };
  const adopted: Grant = { ...carried, fence: BigInt(carried.fence) };
  assert.deepEqual(await other.backend.renew([adopted]), ['renewed']);
  assert.equal(await other.backend.release(adopted), 'released');
  assert.deepEqual(await t.backend.renew([grant]), ['gone']);
  await t.granted(t.rival(mode));
}

async function ownersExclude(t: Trial): Promise<void> {
  const claim = t.claim();
  const grant = await t.granted(claim);
  const other = await t.connect();
  await t.busy(t.claim());
  await t.busy({ ...claim, owner: `${claim.owner}x` });
  await t.busy({ ...claim, owner: claim.owner.toUpperCase() });
  await t.busy(t.claim(), other.backend);
  for (const owner of [`${claim.owner}x`, claim.owner.toUpperCase()]) {
    const impostor: Grant = { ...grant, claim: { ...claim, owner } };
    assert.equal(await t.backend.release(impostor), 'gone');
    assert.deepEqual(await t.backend.renew([impostor]), ['gone']);
  }
  assert.equal(await t.backend.release(grant), 'released');
}

async function evictFrees(mode: LockMode, t: Trial): Promise<void> {
  const grant = await t.granted(t.claim(mode));
  assert.equal(await t.backend.evict(t.key), true);
  assert.equal(await t.backend.inspect(t.key), null);
  assert.equal(await t.backend.evict(t.key), false, 'nobody holds it any more');
  const next = await t.granted(t.rival(mode));
  assert(next.fence > grant.fence);
}

async function evictWakes(t: Trial): Promise<void> {
  await t.granted(t.claim());
  const place = await t.queued();
  const hints = t.listen(place);
  assert.equal(await t.backend.evict(t.key), true);
  await t.hinted(hints, 'the waiter');
  expectGrant(await place.retry());
}

async function evictDoubts(t: Trial): Promise<void> {
  const grant = await t.granted(t.claim());
  const { doubts } = t.first;
  doubts.length = 0;
  await t.backend.evict(t.key);
  const told = (): boolean => doubts.includes(grant.claim.owner) || doubts.includes(undefined);
  await t.until(told, 'a doubt about the evicted lease');
}

async function evictEverybody(t: Trial): Promise<void> {
  const readers = [await t.granted(t.claim('shared')), await t.granted(t.claim('shared'))];
  assert.equal(await t.backend.evict(t.key), true);
  assert.deepEqual(await t.backend.renew(readers), ['gone', 'gone']);
  await t.expectFree();
}

async function evictNobody(t: Trial): Promise<void> {
  assert.equal(await t.backend.evict(t.key), false);
  assert.equal(await t.backend.inspect(t.key), null);
  await t.granted(t.claim('exclusive', { ttlMs: t.shortTtlMs }));
  await t.expire();
  assert.equal(await t.backend.evict(t.key), false, 'an expired lease is nobody');
}

async function inspects(mode: LockMode, t: Trial): Promise<void> {
  assert.equal(await t.backend.inspect(t.key), null);
  const claim = t.claim(mode, mode === 'permits' ? { take: 2, of: 5 } : {});
  const grant = await t.granted(claim);
  await t.busy(t.rival(mode, { queue: true, ...(mode === 'permits' && { take: 4, of: 5 }) }));
  const snapshot = await t.snapshot();
  const [holder] = snapshot.holders;
  assert.deepEqual([snapshot.key, snapshot.mode, snapshot.of], [t.key, mode, claim.of]);
  assert.equal(snapshot.holders.length, 1);
  assert(holder, 'there is a holder');
  assert.deepEqual([holder.owner, holder.take, holder.fence], [claim.owner, claim.take, grant.fence]);
  assert(holder.expiresInMs > 0 && holder.expiresInMs <= claim.ttlMs);
}

async function inspectsSeveral(t: Trial): Promise<void> {
  const grants = [];
  for (let n = 0; n < 3; n++) grants.push(await t.granted(t.claim('shared')));
  const { holders } = await t.snapshot();
  const seen = holders.map(({ owner, fence }) => `${owner} ${fence}`).sort();
  assert.deepEqual(seen, grants.map(({ claim, fence }) => `${claim.owner} ${fence}`).sort());
}

export const ownership = cases('ownership', [
  {
    id: 'stale-owner',
    lines: [29],
    title: 'lets a stale owner neither release nor extend after a take-over, and the new owner both',
    runIn: staleOwnerIsPowerless,
  },
  {
    id: 'release-expired',
    lines: [30],
    title: "answers 'gone' to a release after expiry",
    runIn: releaseAfterExpiry,
  },
  {
    id: 'release-again',
    lines: [29, 30],
    title: 'does no harm when a release is repeated',
    run: releaseTwice,
  },
  {
    id: 'handle',
    lines: [31],
    title: 'lets another client renew and release by a handle',
    runIn: handleWorksElsewhere,
  },
  {
    id: 'owner-identity',
    lines: [34],
    title: 'tells owners apart, within one client as well',
    run: ownersExclude,
  },
  { id: 'evict', lines: [32], title: 'frees a key by eviction', runIn: evictFrees },
  {
    id: 'evict-wakes',
    lines: [32],
    title: 'wakes the waiters by eviction',
    wakeUp: ['queue', 'notify'],
    run: evictWakes,
  },
  {
    id: 'evict-doubts',
    lines: [32],
    title: 'casts doubt on the lease that is evicted',
    wakeUp: ['queue', 'notify'],
    run: evictDoubts,
  },
  {
    id: 'evict-all',
    lines: [32],
    title: 'evicts all holders',
    modes: ['exclusive', 'shared'],
    run: evictEverybody,
  },
  { id: 'evict-nobody', lines: [32], title: 'says that there was nobody to evict', run: evictNobody },
  {
    id: 'inspect',
    lines: [32],
    title: 'tells mode, owner, permits, fence and expiry of a held key',
    runIn: inspects,
  },
  { id: 'inspect-all', lines: [32], title: 'tells all holders', modes: ['shared'], run: inspectsSeveral },
]);
