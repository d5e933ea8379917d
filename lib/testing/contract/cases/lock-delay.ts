import assert from 'node:assert/strict';
import type { Grant, LockMode } from '../../../backends/lock-backend.js';
import { cases } from '../contract-case.js';
import { expectPlace, LONG_TTL_MS, type Trial } from '../trial.js';

/** So much of a point in time is lost to rounding. */
const GRAIN_MS = 5;

/** The server's count of the delay may begin a little later than ours. */
function mostOf(t: Trial): number {
  return t.lockDelayMs + GRAIN_MS;
}

async function closesAfterADeath(mode: LockMode, t: Trial): Promise<void> {
  const startMs = t.clock.now();
  await t.granted(t.claim(mode, { ttlMs: t.shortTtlMs }));
  await t.die();
  const { busy } = await t.busy(t.rival(mode));
  assert.equal(busy.holder, undefined, 'nobody holds it any more');
  const { expiresInMs = NaN } = busy;
  assert(expiresInMs >= 0 && expiresInMs <= mostOf(t), `busy says until when: ${expiresInMs}`);
  await t.drive(t.acquire(t.rival(mode, { queue: true })), 'the end of the delay');
  const closedMs = t.clock.now() - startMs - t.shortTtlMs;
  assert(closedMs >= t.lockDelayMs - GRAIN_MS, `it was closed for ${closedMs} ms`);
}

async function opensAtARelease(mode: LockMode, t: Trial): Promise<void> {
  const grant = await t.granted(t.claim(mode));
  assert.equal(await t.backend.release(grant), 'released');
  const next = t.rival(mode);
  await t.granted(next);
  await t.backend.abandon(next);
  await t.granted(t.rival(mode));
}

async function countsFromTheLastRenewal(mode: LockMode, t: Trial): Promise<void> {
  const grant = await t.granted(t.claim(mode, { ttlMs: LONG_TTL_MS }));
  const shorter: Grant = { ...grant, claim: { ...grant.claim, ttlMs: t.shortTtlMs } };
  const startMs = t.clock.now();
  assert.deepEqual(await t.backend.renew([shorter]), ['renewed']);
  const { expiresInMs = NaN } = (await t.snapshot()).holders[0] ?? {};
  assert(expiresInMs <= t.shortTtlMs, 'what is left of a lease does not count the delay');
  await t.drive(t.acquire(t.rival(mode, { queue: true })), 'the end of the delay');
  assert(t.clock.now() - startMs >= t.shortTtlMs + t.lockDelayMs - GRAIN_MS);
}

async function isNotTheDead(mode: LockMode, t: Trial): Promise<void> {
  const dead = await t.granted(t.claim(mode, { ttlMs: t.shortTtlMs }));
  await t.die();
  assert.deepEqual(await t.backend.renew([dead]), ['gone'], 'they cannot renew');
  assert.equal(await t.backend.release(dead), 'gone', 'nor release');
  expectPlace(await t.backend.claim(dead.claim));
  await t.backend.abandon(dead.claim);
  await t.busy(t.rival(mode));
  await t.backend.evict(t.key);
}

async function isEvicted(mode: LockMode, t: Trial): Promise<void> {
  await t.granted(t.claim(mode, { ttlMs: t.shortTtlMs }));
  await t.die();
  assert.equal(await t.backend.evict(t.key), true);
  await t.granted(t.rival(mode));
}

async function isSeen(mode: LockMode, t: Trial): Promise<void> {
  const { claim, fence } = await t.granted(t.claim(mode, { ttlMs: t.shortTtlMs }));
  assert.equal((await t.snapshot()).holders[0]?.state, undefined, 'a lease has no state');
  await t.die();
  const { holders, mode: seen } = await t.snapshot();
  const { expiresInMs = NaN, ...holder } = holders[0] ?? {};
  assert.equal(seen, mode);
  assert.deepEqual(holder, { owner: claim.owner, take: claim.take, fence, state: 'delayed' });
  assert(expiresInMs > 0 && expiresInMs <= mostOf(t), `until when: ${expiresInMs}`);
  await t.wait(t.lockDelayMs + GRAIN_MS);
  assert.equal(await t.backend.inspect(t.key), null);
}

async function keepsWritersOut(t: Trial): Promise<void> {
  await t.granted(t.claim('shared', { ttlMs: t.shortTtlMs }));
  await t.die();
  const reader = await t.granted(t.claim('shared'));
  await t.backend.release(reader);
  await t.busy(t.claim());
  await t.backend.evict(t.key);
}

async function keepsAShare(t: Trial): Promise<void> {
  await t.granted(t.claim('permits', { take: 2, of: 3, ttlMs: t.shortTtlMs }));
  await t.die();
  await t.granted(t.claim('permits', { take: 1, of: 3 }));
  await t.busy(t.claim('permits', { take: 1, of: 3 }));
  await t.backend.evict(t.key);
}

async function doesNotFollowALinger(mode: LockMode, t: Trial): Promise<void> {
  const grant = await t.granted(t.claim(mode));
  const startMs = t.clock.now();
  assert.equal(await t.backend.release(grant, t.shortTtlMs), 'released');
  assert.equal((await t.snapshot()).holders[0]?.state, 'lingering');
  await t.wait(t.shortTtlMs + GRAIN_MS);
  await t.granted(t.rival(mode));
  assert(t.clock.now() - startMs >= t.shortTtlMs - GRAIN_MS);
}

async function keepsTheLine(t: Trial): Promise<void> {
  const startMs = t.clock.now();
  const dead = await t.granted(t.claim('exclusive', { ttlMs: t.shortTtlMs }));
  const first = t.waitFor(await t.queued());
  const second = t.waitFor(await t.queued());
  const winner = await t.drive(first, 'the head of the line');
  assert(t.clock.now() - startMs >= t.shortTtlMs + t.lockDelayMs - GRAIN_MS);
  await t.backend.release(winner);
  const next = await t.drive(second, 'the second in the line');
  assert(winner.fence > dead.fence && next.fence > winner.fence, 'fences rise over a delay');
}

export const lockDelay = cases('the lock delay', [
  {
    id: 'delay-closes',
    title: 'keeps a key closed after the death of its holder, and says until when',
    delayed: true,
    runIn: closesAfterADeath,
  },
  {
    id: 'delay-release',
    title: 'opens at once when it is released or abandoned',
    delayed: true,
    runIn: opensAtARelease,
  },
  {
    id: 'delay-renewal',
    title: 'counts the delay from the end of the last renewed lease',
    delayed: true,
    runIn: countsFromTheLastRenewal,
  },
  {
    id: 'delay-owner',
    lines: [29],
    title: 'gives a dead holder no power over a key that is closed after it',
    delayed: true,
    runIn: isNotTheDead,
  },
  {
    id: 'delay-evict',
    lines: [32],
    title: 'opens a closed key by an eviction',
    delayed: true,
    runIn: isEvicted,
  },
  {
    id: 'delay-inspect',
    lines: [32],
    title: 'shows that a key is closed, after whom, and until when',
    delayed: true,
    runIn: isSeen,
  },
  {
    id: 'delay-linger',
    title: 'adds no delay to a linger',
    delayed: true,
    runIn: doesNotFollowALinger,
  },
  {
    id: 'delay-readers',
    lines: [41],
    title: 'lets readers in beside a dead reader, and no writer',
    modes: ['shared', 'exclusive'],
    delayed: true,
    run: keepsWritersOut,
  },
  {
    id: 'delay-permits',
    lines: [42],
    title: 'keeps the permits of a dead holder taken, and no others',
    modes: ['permits'],
    delayed: true,
    run: keepsAShare,
  },
  {
    id: 'delay-line',
    lines: [36, 47],
    title: 'serves the line in order after a delay, with higher fences',
    wakeUp: ['queue'],
    delayed: true,
    run: keepsTheLine,
  },
]);
