import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../../support/until.js';
import type { StoppedReply } from '../../../support/wire.js';
import type { Actor, Attempt } from '../actor.js';
import { nowMs } from '../monotonic.js';
import { within, type Stage } from '../stage.js';
import type { Play } from './play.js';

const HERD = 50;
const STORM = 500;
/** As many claims at once as any server answers in the time for one call. */
const GUSTS = 10;
/** So many calls a hand-off may cost each process. */
const TOLD_CALLS = 2;
const POLLED_CALLS = 4;
/** For a lost connection to be back. */
const RECONNECT_MS = 1_000;
/** So long after a sign of life a place is certainly alive still, and two signs later it is not. */
const ALIVE_MS = 600;

export const holderCutOff: Play = {
  actors: 2,
  async act(stage) {
    const [holder, waiter] = stage.actors as [Actor, Actor];
    const { lock, waiting } = await stage.scene(holder, waiter);
    await holder.with('read', lock);
    // the slower the way was, the more it matters from when on a lease counts
    holder.road.slow({ latencyMs: 10 + stage.roll() * 30, jitterMs: 0, sliceBytes: Infinity });
    await sleep(stage.roll() * stage.ttlMs);
    stage.healed();
    holder.road.silence();
    await stage.served(waiting, stage.ttlMs + 1_000);
    if (await holder.with('check', lock)) stage.blame('I3', 'the one who is cut off is told that it holds');
    if (await holder.with('commit', lock)) stage.blame('I1', 'a stale write was accepted');
    holder.road.mend();
    stage.healed();
    await stage.recover(stage.ttlMs + 1_000);
  },
};

export const replyLost: Play = {
  actors: 2,
  async act(stage) {
    const [holder, waiter] = stage.actors as [Actor, Actor];
    const { road } = holder;
    const claim = road.loseReply('claim');
    // one that does not find its own grant waits for its end
    const lock = holder.acquire(stage.key(), { ttlMs: 3 * stage.ttlMs, waitMs: 5_000 });
    await sprung(stage, claim, 'a claim');
    const lostAtMs = nowMs();
    if (!(await lock.granted))
      return stage.blame('I8', `a claim whose reply was lost: ${stage.whyNot(lock)}`);
    stage.judge('I6', 'claim', nowMs() - lostAtMs, stage.ttlMs, stage.stolenMs([holder], lostAtMs));
    const waiting = await stage.wait(waiter, stage.key(), false);
    const renewal = road.loseReply('renew');
    await sprung(stage, renewal, 'a renewal');
    await sleep(stage.ttlMs);
    if (!(await holder.with('check', lock))) stage.blame('I8', 'one lost reply of a renewal is a loss');
    const release = road.loseReply('release');
    const answer = holder.release(lock);
    await sprung(stage, release, 'a release');
    stage.healed();
    // that it was not confirmed is the truth as well, where the connection took longer than a call may
    if (![true, 'LockUnavailableError'].includes(await answer))
      stage.blame('I8', `a release whose reply was lost: ${await answer}`);
    await stage.served(waiting, stage.ttlMs);
    // what is repeated for the one who is gone must not harm the one who came
    await sleep(200);
    const outcome = await waiter.release(waiting);
    if (outcome === true) return;
    const text = `the next one's release came to ${outcome}: a release that was repeated may have taken its lock`;
    stage.blameUnlessStarved('I8', text, [waiter], stage.healedMs);
  },
};

async function sprung(stage: Stage, { arrived }: StoppedReply, what: string): Promise<void> {
  const isSprung = await within(
    5_000,
    arrived.then(() => true),
  );
  if (!isSprung) stage.blame('I8', `${what} was never sent`);
}

export const connectionCut: Play = {
  actors: 2,
  async act(stage) {
    const [holder, waiter] = stage.actors as [Actor, Actor];
    const { lock, waiting } = await stage.scene(holder, waiter);
    await sleep((stage.roll() * stage.ttlMs) / 3);
    if (stage.run % 2 === 0) for (const { road } of [holder, waiter]) road.cut();
    else await stage.world.servers.disconnectAll();
    stage.healed();
    await stage.recover(1_000);
    const fromMs = stage.healedMs;
    if (!(await holder.with('check', lock)))
      stage.blameUnlessStarved('I6', 'a cut connection is a loss', [holder], fromMs);
    if ((await holder.release(lock)) !== true)
      stage.blameUnlessStarved('I6', 'it was not released after a cut', [holder], fromMs);
    await stage.served(waiting, 1_000, nowMs());
  },
};

export const notificationsDead: Play = {
  actors: 2,
  async act(stage) {
    const [holder, waiter] = stage.actors as [Actor, Actor];
    stage.wakeUpMs = 1_000;
    const { lock, waiting } = await stage.scene(holder, waiter);
    waiter.road.deafen();
    if (stage.run % 2 === 1) {
      waiter.road.cut();
      await sleep(stage.roll() * RECONNECT_MS);
    }
    await holder.release(lock);
    stage.healed();
    await stage.served(waiting, 1_000);
    waiter.road.mend();
  },
};

export const poolerBetween: Play = {
  actors: 1,
  async act(stage) {
    const { servers } = stage.world;
    const [direct] = stage.actors as [Actor];
    stage.wakeUpMs = 1_000;
    const behindIt = async (): Promise<Actor> => stage.extra(await servers.pooledRoad?.());
    const [holder, waiter] = [await behindIt(), await behindIt()];
    if (stage.history.warnings.filter((text) => /pooler/.test(text)).length !== 2)
      stage.blame('I8', 'it was not told once each that waiting falls back to polling');
    const { lock, waiting } = await stage.scene(holder, waiter);
    const last = await stage.wait(direct);
    if (stage.run % 2 === 1) await servers.disconnectAll();
    stage.healed();
    await stage.recover(1_000, [holder, waiter, direct]);
    await holder.with('write', lock);
    if ((await holder.release(lock)) !== true)
      stage.blameUnlessStarved('I6', 'it was not released', [direct], stage.healedMs);
    stage.healed();
    await stage.served(waiting, 1_000);
    await stage.served(last, 2_000);
  },
};

export const slowBytes: Play = {
  actors: 3,
  async act(stage) {
    for (const { road } of stage.actors)
      road.slow({
        latencyMs: stage.roll() * 15,
        jitterMs: stage.roll() * 15,
        sliceBytes: 16 + Math.floor(stage.roll() * 64),
      });
    const untilMs = nowMs() + 1.5 * stage.ttlMs;
    const work = async (actor: Actor): Promise<void> => {
      while (nowMs() < untilMs)
        await actor.acquire(stage.key(), { ttlMs: stage.ttlMs, waitMs: 5_000, turn: true }).granted;
    };
    // what a slow way makes of a wake-up is no fault of the locks
    stage.wakeUpMs = Infinity;
    await Promise.all(stage.actors.map(work));
    for (const { road } of stage.actors) road.mend();
  },
};

export const grantLate: Play = {
  actors: 2,
  async act(stage) {
    if (stage.run % 2 === 0 && stage.isOurs && stage.world.servers.messagesApart) await messageLate(stage);
    else await replyLate(stage);
    stage.healed();
    await stage.recover(stage.ttlMs + 1_000);
  },
};

/** The answer to a claim comes when another one has the key. */
async function replyLate(stage: Stage): Promise<void> {
  const [late, next] = stage.actors as [Actor, Actor];
  late.road.holdReplies();
  const attempt = late.acquire(stage.key(), { ttlMs: stage.ttlMs, waitMs: 0 });
  await sleep(stage.ttlMs * (1 + stage.roll() / 2));
  const lock = await stage.hold(next);
  await next.with('read', lock);
  late.road.mend();
  const isGranted = await within(5_000, attempt.granted);
  if (isGranted === undefined) stage.blame('I8', `${attempt.id} was not answered`);
  if (isGranted && (await late.with('write', attempt)))
    stage.blame('I1', 'a lease was granted after its end, and written under');
  await next.with('commit', lock);
  if ((await next.release(lock)) !== true)
    stage.blameUnlessStarved('I8', 'the lock of the next one was not released', [next], stage.startMs);
}

/** The message that it is somebody's turn comes when another one has the key, and the first waits for it anew. */
async function messageLate(stage: Stage): Promise<void> {
  const [holder, next] = stage.actors as [Actor, Actor];
  const late = await stage.extra(await stage.world.servers.messagesApart?.());
  const lock = await stage.hold(holder);
  const waiting = await stage.wait(late, stage.key(), false);
  const inLine = await stage.wait(next, stage.key(), false);
  late.road.holdMessages?.();
  late.freeze();
  await sleep(ALIVE_MS);
  await holder.release(lock);
  if (!(await within(5_000, inLine.granted)))
    return stage.blame('I6', `the next one was not served: ${stage.whyNot(inLine)}`);
  await next.with('read', inLine);
  stage.note('late messages', late.road.messagesHeld ?? 0);
  late.thaw();
  await until(async () => ((await next.inspect(stage.key()))?.waiting ?? 0) > 0, 'the place is taken anew');
  await sleep(50);
  late.road.mend();
  await sleep(stage.roll() * 200);
  await next.with('commit', inLine);
  stage.healed();
  if ((await next.release(inLine)) !== true)
    stage.blameUnlessStarved('I8', 'the lock of the next one was not released', [next], stage.startMs);
  await stage.served(waiting, 1_000);
  await late.release(waiting);
}

export const herdAndStorm: Play = {
  actors: 4,
  async act(stage) {
    const { actors, world } = stage;
    const [holder] = actors as [Actor];
    const key = stage.key('herd');
    const lock = await stage.hold(holder, key);
    const asking = { ttlMs: 2 * stage.ttlMs, waitMs: 20_000, turn: true };
    const herd = actors.flatMap((actor) => Array.from({ length: HERD }, () => actor.acquire(key, asking)));
    await sleep(300);
    const before = await world.servers.requests();
    const freedMs = nowMs();
    await holder.release(lock);
    const served = await Promise.all(herd.map(({ granted }) => within(20_000, granted)));
    const missing = served.filter((isServed) => !isServed).length;
    const unserved = herd.find((_, at) => !served[at]);
    // a starved hand-off is a slow one, and there are hundreds of them
    if (unserved) {
      const text = `${missing} of ${herd.length} were not served: ${stage.whyNot(unserved)}`;
      stage.blameUnlessStarved('I4', text, actors, freedMs);
    }
    const perHandOff = ((await world.servers.requests()) - before) / herd.length;
    stage.note('calls a hand-off', perHandOff);
    const perProcess = world.isPolled ? POLLED_CALLS : TOLD_CALLS;
    if (perHandOff > perProcess * actors.length) stage.blame('I4', `${perHandOff} calls a hand-off`);

    const names = Array.from({ length: STORM }, (_, n) => stage.key(`storm${n}`));
    const leases: Attempt[] = [];
    const gust = async (): Promise<void> => {
      for (let name = names.pop(); name !== undefined; name = names.pop()) {
        const attempt = holder.acquire(name, { ttlMs: 3 * stage.ttlMs, waitMs: 5_000 });
        if (!(await attempt.granted)) stage.blame('I6', stage.whyNot(attempt));
        leases.push(attempt);
      }
    };
    await Promise.all(Array.from({ length: GUSTS }, gust));
    holder.road.cut();
    stage.healed();
    await stage.recover(3_000, [holder]);
    const kept = await Promise.all(leases.map((lease) => holder.release(lease)));
    // that one was not confirmed in time is no loss
    const lost = kept.filter((answer) => answer === false).length;
    const text = `${lost} of ${STORM} leases did not outlive a reconnection`;
    if (lost > 0) stage.blameUnlessStarved('I6', text, [holder], stage.healedMs);
  },
};
