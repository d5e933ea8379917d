import assert from 'node:assert/strict';
import type { Claim, LockBackend, LockMode } from '../../../backends/lock-backend.js';
import { cases } from '../contract-case.js';
import { expectGrant, expectPlace, type Trial } from '../trial.js';

/** Longer than a silent place lasts. */
const LONG_MS = 1_500;
/** A dead head is skipped within a second of its last sign of life; the rest is for a slow machine. */
const SKIP_LIMIT_MS = 3_000;

async function show(
  t: Trial,
  claims: readonly Claim[],
  backend: LockBackend = t.backend,
): Promise<boolean[]> {
  const answers = await backend.stay?.(claims);
  assert.equal(answers?.length, claims.length, 'an answer for each');
  return [...answers];
}

/** Shows life, and nothing else, until one of them is told to ask. */
async function showUntilAsked(t: Trial, ms: number, claims: readonly Claim[]): Promise<boolean[]> {
  const endMs = t.clock.now() + ms;
  let answers = claims.map(() => false);
  while (t.clock.now() < endMs && !answers.includes(true)) {
    await t.wait(Math.min(t.backend.traits.pollMs, endMs - t.clock.now()));
    answers = await show(t, claims);
  }
  return answers;
}

async function keepsPlaces(mode: LockMode, t: Trial): Promise<void> {
  const keys = ['a', 'b', 'c'].map((name) => t.keyOf(name));
  const holders = [];
  for (const key of keys) holders.push(await t.granted(t.claim(mode, { key })));
  const claims = keys.map((key) => t.rival(mode, { key, queue: true }));
  const places = [];
  for (const claim of claims) places.push(await t.busy(claim));
  assert.deepEqual(await showUntilAsked(t, LONG_MS, claims), [false, false, false]);
  for (const key of keys) {
    assert.equal((await t.snapshot(key)).waiting, 1, 'the place is kept');
    await t.busy(t.rival(mode, { key, queue: true }));
  }
  await Promise.all(holders.map((holder) => t.backend.release(holder)));
  for (const place of places) expectGrant(await place.retry());
}

async function tellsWhenItIsFree(mode: LockMode, t: Trial): Promise<void> {
  const held = t.keyOf('held');
  const holder = await t.granted(t.claim(mode));
  await t.granted(t.claim(mode, { key: held }));
  const claims = [t.rival(mode, { queue: true }), t.rival(mode, { key: held, queue: true })];
  const [first] = [await t.busy(claims[0] as Claim), await t.busy(claims[1] as Claim)];
  await t.backend.release(holder);
  // nobody, or the head of the line
  const owners = async (): Promise<string[]> => (await t.snapshot()).holders.map(({ owner }) => owner);
  const before = await owners();
  assert.deepEqual(await show(t, claims), [true, false]);
  assert.deepEqual(await owners(), before, 'a sign of life takes nothing');
  expectGrant(await first.retry());
}

async function tellsWhoLostTheirPlace(t: Trial): Promise<void> {
  await t.granted(t.claim());
  const silent = t.claim('exclusive', { queue: true });
  await t.busy(silent);
  await t.wait(LONG_MS);
  await t.busy(t.claim('exclusive', { queue: true }));
  assert.deepEqual(await show(t, [silent]), [true]);
  const never = t.claim('exclusive', { queue: true });
  assert.deepEqual(await show(t, [never]), [true]);
  assert.equal((await t.snapshot()).waiting, 1, 'a sign of life makes no place');
}

async function skipsADeadHead(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  await t.queued();
  const claim = t.claim('exclusive', { queue: true });
  const place = await t.busy(claim);
  await t.backend.release(holder);
  const granted = (async () => {
    for (;;) {
      const [ask] = await show(t, [claim]);
      const answer = ask ? await place.retry() : place;
      if ('fence' in answer) return answer;
      await t.sleep(100);
    }
  })();
  await t.drive(granted, 'the turn of the one behind a dead head', SKIP_LIMIT_MS);
}

async function revivesNobody(t: Trial): Promise<void> {
  await t.granted(t.claim());
  const claim = t.claim('exclusive', { queue: true });
  await t.busy(claim);
  await t.backend.abandon(claim);
  await show(t, [claim]);
  assert.equal((await t.snapshot()).waiting, 0);
}

async function noticesALeaseThatRanOut(mode: LockMode, t: Trial): Promise<void> {
  await t.granted(t.claim(mode, { ttlMs: t.shortTtlMs }));
  const claim = t.rival(mode, { queue: true });
  const place = await t.busy(claim);
  const limitMs = t.shortTtlMs + t.lockDelayMs + SKIP_LIMIT_MS;
  assert.deepEqual(await showUntilAsked(t, limitMs, [claim]), [true]);
  expectGrant(await place.retry());
  expectPlace(await t.backend.claim(t.rival(mode)));
}

export const stay = cases('signs of life', [
  {
    id: 'stay-keeps',
    lines: [15, 37],
    title: 'keeps the places of many keys by one sign of life for all',
    wakeUp: ['queue'],
    stay: true,
    runIn: keepsPlaces,
  },
  {
    id: 'stay-free',
    lines: [14],
    title: 'tells those whose key is free to ask, and only those',
    wakeUp: ['queue'],
    stay: true,
    runIn: tellsWhenItIsFree,
  },
  {
    id: 'stay-expiry',
    lines: [16],
    title: 'tells those whose holder died to ask',
    wakeUp: ['queue'],
    stay: true,
    runIn: noticesALeaseThatRanOut,
  },
  {
    id: 'stay-lost',
    lines: [37],
    title: 'tells those who have no place to ask, and gives them none',
    wakeUp: ['queue'],
    stay: true,
    run: tellsWhoLostTheirPlace,
  },
  {
    id: 'stay-dead-head',
    lines: [37],
    title: 'skips a dead head for those who only show life',
    wakeUp: ['queue'],
    stay: true,
    run: skipsADeadHead,
  },
  {
    id: 'stay-abandoned',
    lines: [10],
    title: 'shows no life for those who gave up',
    wakeUp: ['queue'],
    stay: true,
    run: revivesNobody,
  },
]);
