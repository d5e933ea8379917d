import assert from 'node:assert/strict';
import type { LockMode } from '../../../backends/lock-backend.js';
import { cases } from '../contract-case.js';
import { LONG_TTL_MS, type Trial } from '../trial.js';

async function keepsTheKeyBusy(mode: LockMode, t: Trial): Promise<void> {
  const grant = await t.granted(t.claim(mode));
  assert.equal(await t.backend.release(grant, LONG_TTL_MS), 'released');
  await t.busy(t.rival(mode));
  await t.backend.evict(t.key);
  await t.granted(t.rival(mode));
}

async function endsByItself(mode: LockMode, t: Trial): Promise<void> {
  const grant = await t.granted(t.claim(mode));
  const releasedAtMs = t.clock.now();
  assert.equal(await t.backend.release(grant, t.shortTtlMs), 'released');
  const next = t.acquire(t.rival(mode, { queue: true }));
  await t.drive(next, 'the end of a lingering release', 10_000);
  assert(t.clock.now() >= releasedAtMs + t.shortTtlMs - 5, 'not before its time');
}

async function isNobodys(t: Trial): Promise<void> {
  const grant = await t.granted(t.claim());
  await t.backend.release(grant, t.shortTtlMs);
  assert.deepEqual(await t.backend.renew([grant]), ['gone'], 'its owner cannot renew it');
  assert(['released', 'gone'].includes(await t.backend.release(grant, t.shortTtlMs)));
  await t.expire();
  await t.expectFree();
}

async function survivesARepeatedRelease(t: Trial): Promise<void> {
  const grant = await t.granted(t.claim());
  await t.backend.release(grant, LONG_TTL_MS);
  await t.backend.release(grant, LONG_TTL_MS);
  await t.busy(t.claim());
  await t.backend.evict(t.key);
}

async function shortensALease(t: Trial): Promise<void> {
  const grant = await t.granted(t.claim('exclusive', { ttlMs: LONG_TTL_MS }));
  await t.backend.release(grant, t.shortTtlMs);
  await t.expire();
  assert.equal(await t.backend.inspect(t.key), null);
  await t.expectFree();
}

async function outlastsTheLease(mode: LockMode, t: Trial): Promise<void> {
  const grant = await t.granted(t.claim(mode, { ttlMs: t.shortTtlMs }));
  assert.equal(await t.backend.release(grant, LONG_TTL_MS), 'released');
  await t.expire();
  await t.busy(t.rival(mode));
  await t.backend.evict(t.key);
}

async function keepsTheLine(t: Trial): Promise<void> {
  const grant = await t.granted(t.claim());
  const first = t.waitFor(await t.queued());
  const second = t.waitFor(await t.queued());
  await t.backend.release(grant, t.shortTtlMs);
  const winner = await t.drive(first, 'the head of the line', 10_000);
  await t.backend.release(winner);
  const next = await t.drive(second, 'the second in the line', 10_000);
  assert(winner.fence > grant.fence && next.fence > winner.fence);
}

export const lingering = cases('lingering', [
  {
    id: 'linger',
    title: 'keeps a key busy that is released with a linger, until it is evicted',
    runIn: keepsTheKeyBusy,
  },
  { id: 'linger-ends', title: 'frees a lingering key at its time', runIn: endsByItself },
  { id: 'linger-owner', lines: [19], title: 'lets nobody renew a lingering key', run: isNobodys },
  {
    id: 'linger-again',
    lines: [30],
    title: 'keeps lingering when the release is repeated',
    run: survivesARepeatedRelease,
  },
  { id: 'linger-shortens', title: 'lingers for less than the ttl when told so', run: shortensALease },
  {
    id: 'linger-outlasts',
    lines: [54],
    title: 'lingers for longer than the ttl when told so',
    runIn: outlastsTheLease,
  },
  {
    id: 'linger-line',
    lines: [36],
    title: 'serves the line after a linger',
    wakeUp: ['queue'],
    run: keepsTheLine,
  },
]);
