import assert from 'node:assert/strict';
import { isGrant, type Grant, type Place } from '../../../backends/lock-backend.js';
import { cases } from '../contract-case.js';
import { expectGrant, expectPlace, LONG_TTL_MS, TRIAL_LIMIT_MS, type Trial } from '../trial.js';

const HAND_OFFS = 1_000;
const REGULARS = 4;
/** A dead head is skipped within a second of its last sign of life; the rest is for a slow machine. */
const SKIP_LIMIT_MS = 3_000;
const DEAD_MS = 1_500;
const HOUR_MS = 3_600_000;

async function firstComeFirstServed(t: Trial): Promise<void> {
  const clients = [t.backend, (await t.connect()).backend];
  const holder = await t.granted(t.claim());
  const served: number[] = [];
  const waiting = [];
  for (let n = 0; n < 10; n++) {
    const backend = clients[n % 2] ?? t.backend;
    const place = await t.queued('exclusive', {}, backend);
    const serve = async (): Promise<void> => {
      const grant = await t.waitFor(place);
      served.push(n);
      await backend.release(grant);
    };
    waiting.push(serve());
  }
  await t.backend.release(holder);
  await t.drive(Promise.all(waiting), 'ten turns');
  assert.deepEqual(served, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

async function nobodyBarges(t: Trial): Promise<void> {
  const another = (await t.connect()).backend;
  await another.release(await t.granted(t.claim(), another));
  const holder = await t.granted(t.claim());
  const head = await t.queued();
  await t.backend.release(holder);
  const { busy } = await t.busy(t.claim());
  assert.notEqual(busy.holder, holder.claim.owner, 'the key is kept for the head of the line');
  assert(
    busy.expiresInMs !== undefined && busy.expiresInMs > 0,
    'busy says when a silent head would be skipped',
  );
  // nor does one who comes by another client, which has had the key, and has not heard that anybody waits
  await t.busy(t.claim(), another);
  const newcomer = await t.queued();
  expectPlace(await newcomer.retry());
  expectGrant(await head.retry());
  expectPlace(await newcomer.retry());
}

async function takesTurns(t: Trial): Promise<void> {
  const clients = [t.backend, (await t.connect()).backend];
  const turns: number[] = [];
  /** Whose turns went by while somebody stood in the line: from the answer that said so to the grant. */
  const waits: Wait[] = [];
  const holder = await t.granted(t.claim());
  const regular = async (n: number, first: Place): Promise<void> => {
    const backend = clients[n % 2] ?? t.backend;
    for (let answer: Grant | Place = first; ;) {
      const since = turns.length;
      const grant = isGrant(answer) ? answer : await t.waitFor(answer);
      if (!isGrant(answer)) waits.push({ who: n, over: turns.slice(since) });
      if (turns.length >= HAND_OFFS) return void (await backend.release(grant));
      turns.push(n);
      await backend.release(grant);
      answer = await backend.claim(t.claim('exclusive', { queue: true }));
    }
  };
  const regulars = [];
  for (let n = 0; n < REGULARS; n++)
    regulars.push(regular(n, await t.queued('exclusive', {}, clients[n % 2])));
  await t.backend.release(holder);
  await t.drive(Promise.all(regulars), `${HAND_OFFS} hand-offs`, TRIAL_LIMIT_MS);
  checkTurns(turns, waits);
}

interface Wait {
  readonly who: number;
  readonly over: readonly number[];
}

function checkTurns(turns: readonly number[], waits: readonly Wait[]): void {
  const all = Array.from({ length: REGULARS }, (_, n) => n);
  const counts = all.map((n) => turns.filter((turn) => turn === n).length);
  assert(Math.max(...counts) <= 1.5 * Math.min(...counts), `nobody starves: ${counts.join(', ')}`);
  assert(waits.length > HAND_OFFS / 2, `there was a line: ${waits.length} had to wait`);
  for (const { who, over } of waits) {
    const most = Math.max(...all.map((n) => over.filter((turn) => turn === n).length));
    assert(most <= 2, `nobody is overtaken more than once by the same: ${who} waited over ${over.join('')}`);
  }
}

async function skipsADeadHead(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  await t.queued();
  const second = t.waitFor(await t.queued());
  await t.backend.release(holder);
  await t.drive(second, 'the turn of the one behind a dead head', SKIP_LIMIT_MS);
}

async function keepsALiveHead(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  const head = await t.queued();
  const second = await t.queued();
  // who asks first is not who comes first
  await t.stay(5 * t.backend.traits.pollMs, second, head);
  await t.backend.release(holder);
  expectPlace(await second.retry());
  expectGrant(await head.retry());
}

async function droppedJoinsTheEnd(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  const dropped = await t.queued();
  const alive = await t.queued();
  await t.stay(DEAD_MS, alive);
  expectPlace(await dropped.retry());
  await t.backend.release(holder);
  expectPlace(await dropped.retry());
  const grant = expectGrant(await alive.retry());
  await t.backend.release(grant);
  expectGrant(await dropped.retry());
}

async function droppedLeavesNothing(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  await t.queued();
  await t.queued();
  await t.wait(DEAD_MS);
  assert.equal((await t.snapshot()).waiting, 0, 'the silent are not counted');
  await t.backend.release(holder);
  await t.expectFree();
}

async function leaverShiftsNobody(t: Trial): Promise<void> {
  const holder = await t.granted(t.claim());
  const first = await t.queued();
  const leaver = t.claim('exclusive', { queue: true });
  await t.busy(leaver);
  const last = await t.queued();
  await t.backend.abandon(leaver);
  assert.equal((await t.snapshot()).waiting, 2);
  await t.backend.release(holder);
  expectPlace(await last.retry());
  await t.backend.release(expectGrant(await first.retry()));
  await t.backend.release(expectGrant(await last.retry()));
  assert.equal(await t.backend.inspect(t.key), null);
}

async function ignoresWrongClocks(t: Trial): Promise<void> {
  for (const skewMs of [HOUR_MS, -HOUR_MS]) {
    const wrong = await t.connect(skewMs);
    const holder = await t.granted(t.claim('exclusive', { ttlMs: t.shortTtlMs * 4 }));
    await t.busy(t.claim(), wrong.backend);
    await t.backend.release(holder);
    const grant = await t.granted(t.claim('exclusive', { ttlMs: t.shortTtlMs }), wrong.backend);
    assert(Math.abs(grant.sentAtMs - t.clock.now() - skewMs) < HOUR_MS / 2, 'sentAtMs is by its own clock');
    await t.busy(t.claim());
    await t.expire();
    await t.expectFree();
  }
}

async function wrongClocksKeepTheLine(t: Trial): Promise<void> {
  const wrong = await t.connect(-HOUR_MS);
  const holder = await t.granted(t.claim('exclusive', { ttlMs: LONG_TTL_MS }));
  const first = await t.queued();
  const second = await t.queued('exclusive', {}, wrong.backend);
  await t.backend.release(holder);
  expectPlace(await second.retry());
  await t.backend.release(expectGrant(await first.retry()));
  expectGrant(await second.retry());
}

export const order = cases('order', [
  {
    id: 'first-come',
    lines: [36],
    title: 'serves first who came first, over two clients',
    wakeUp: ['queue'],
    run: firstComeFirstServed,
  },
  {
    id: 'no-barging',
    lines: [36, 38],
    title: 'keeps a free key for the head of the line',
    wakeUp: ['queue'],
    run: nobodyBarges,
  },
  {
    id: 'turns',
    lines: [36, 38],
    title: 'starves nobody over a thousand hand-offs to clients who ask again at once',
    wakeUp: ['queue'],
    run: takesTurns,
  },
  {
    id: 'dead-head',
    lines: [37],
    title: 'skips a dead head of the line',
    wakeUp: ['queue'],
    run: skipsADeadHead,
  },
  {
    id: 'live-head',
    lines: [37],
    title: 'keeps the place of a head that shows life',
    wakeUp: ['queue'],
    run: keepsALiveHead,
  },
  {
    id: 'dropped-joins-end',
    lines: [37],
    title: 'lets a waiter who was dropped join the end of the line',
    wakeUp: ['queue'],
    run: droppedJoinsTheEnd,
  },
  {
    id: 'dropped-no-trace',
    lines: [37],
    title: 'leaves nothing of waiters who died',
    wakeUp: ['queue'],
    run: droppedLeavesNothing,
  },
  {
    id: 'leaver-shifts-nobody',
    lines: [37],
    title: 'shifts nobody when a waiter leaves',
    wakeUp: ['queue'],
    run: leaverShiftsNobody,
  },
  {
    id: 'wrong-clocks',
    lines: [38],
    title: 'does not care for the clocks of clients',
    run: ignoresWrongClocks,
  },
  {
    id: 'wrong-clocks-line',
    lines: [38],
    title: 'keeps the order of the line whatever the clocks of clients say',
    wakeUp: ['queue'],
    run: wrongClocksKeepTheLine,
  },
]);
