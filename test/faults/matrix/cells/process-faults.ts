import { setTimeout as sleep } from 'node:timers/promises';
import type { Actor, Attempt } from '../actor.js';
import { nowMs } from '../monotonic.js';
import { RESULT } from '../contestant.js';
import { within, type Stage } from '../stage.js';
import type { Play } from './play.js';

/** How long the server waits for a sign of life of the head of a line. */
const SILENCE_MS = 1_000;
const CROWD = 100;

export const holderKilled: Play = {
  actors: 2,
  async act(stage) {
    const [holder, waiter] = stage.actors as [Actor, Actor];
    const { waiting } = await stage.scene(holder, waiter);
    await sleep(stage.roll() * stage.ttlMs);
    stage.healed();
    await holder.kill();
    await stage.served(waiting, stage.ttlMs + 1_000);
  },
};

export const holderFrozen: Play = {
  actors: 2,
  async act(stage) {
    const [holder, waiter] = stage.actors as [Actor, Actor];
    const { lock, waiting } = await stage.scene(holder, waiter);
    await holder.with('read', lock);
    const work = holder.guard(stage.key('guarded'), stage.ttlMs, 3.5 * stage.ttlMs);
    await sleep(100 + stage.roll() * stage.ttlMs);
    stage.healed();
    holder.freeze();
    await sleep(stage.ttlMs);
    if (!stage.world.isOneProcess) await stage.served(waiting, stage.ttlMs + 1_000);
    else await sleep(stage.roll() * stage.ttlMs);
    // asked before it goes on, so that nothing else comes first
    const check = holder.with('check', lock);
    const stale = holder.with('commit', lock);
    if (stage.world.isOneProcess) stage.healed();
    holder.thaw();
    if (await check) stage.blame('I3', 'the first check after the freeze says that it is held');
    if ((await stale) && !stage.world.isOneProcess) stage.blame('I1', 'a stale write was accepted');
    if (stage.world.isOneProcess) await stage.served(waiting, stage.ttlMs + 1_000);
    if ((await holder.release(lock)) === true)
      stage.blame('I8', 'a lock that was lost was released with true');
    const result = await work;
    if (result !== RESULT) stage.blame('I8', `guarded work that was done came to ${String(result)}`);
  },
};

export const loopBlocked: Play = {
  actors: 2,
  async act(stage) {
    const [holder, waiter] = stage.actors as [Actor, Actor];
    const { lock, waiting } = await stage.scene(holder, waiter);
    await holder.with('read', lock);
    await sleep(stage.roll() * stage.ttlMs);
    if (!stage.world.isOneProcess) stage.healed();
    const held = await holder.block(lock, stage.ttlMs * (1.1 + stage.roll() / 2));
    if (held) stage.blame('I3', 'the first check after the work says that it is held');
    if (stage.world.isOneProcess) stage.healed();
    await holder.with('commit', lock);
    await stage.served(waiting, stage.ttlMs + 1_000);
  },
};

export const waiterGone: Play = {
  actors: 3,
  async act(stage) {
    if (stage.world.isOneProcess || stage.run % 2 === 0) await abortAtTheGrant(stage);
    else await killAtTheGrant(stage);
  },
};

/** One holds the key, two wait for it, and the first of them goes at about the moment at which it is granted. */
async function lineOfTwo(stage: Stage): Promise<[Attempt, Attempt, Attempt]> {
  const [holder, first, second] = stage.actors as [Actor, Actor, Actor];
  const lock = await stage.hold(holder);
  const leaving = await stage.wait(first, stage.key(), false);
  return [lock, leaving, await stage.wait(second)];
}

async function abortAtTheGrant(stage: Stage): Promise<void> {
  const [holder, first] = stage.actors as [Actor, Actor];
  const [lock, leaving, waiting] = await lineOfTwo(stage);
  const headStartMs = (stage.roll() - 0.5) * 6;
  await Promise.all([
    sleep(Math.max(0, headStartMs)).then(() => holder.release(lock)),
    sleep(Math.max(0, -headStartMs)).then(() => first.abort(leaving)),
  ]);
  const fromMs = nowMs();
  if (await within(5_000, leaving.granted)) await first.release(leaving);
  await stage.served(waiting, 1_000, fromMs);
}

async function killAtTheGrant(stage: Stage): Promise<void> {
  const [holder, first] = stage.actors as [Actor, Actor];
  const [lock, leaving, waiting] = await lineOfTwo(stage);
  const headStartMs = (stage.roll() - 0.5) * 6;
  await Promise.all([
    sleep(Math.max(0, headStartMs)).then(() => holder.release(lock)),
    sleep(Math.max(0, -headStartMs)).then(() => first.kill()),
  ]);
  const diedMs = nowMs();
  const heir = (await holder.inspect(leaving.key))?.holder;
  const deadUntilMs = diedMs + (heir === first.name ? stage.ttlMs : SILENCE_MS);
  stage.freeFrom.set(leaving.key, deadUntilMs);
  await stage.served(waiting, 1_000, heir === first.name ? deadUntilMs : diedMs);
}

export const closed: Play = {
  actors: 1,
  async act(stage) {
    const [neighbour] = stage.actors as [Actor];
    const leaver = stage.world.isOneProcess ? neighbour : await stage.extra();
    const names = (stem: string): string[] =>
      Array.from({ length: CROWD }, (_, n) => stage.key(`${stem}${n}`));
    const [own, foreign] = [names('own'), names('foreign')];
    const kept = await Promise.all(foreign.map((key) => stage.hold(neighbour, key)));
    await Promise.all(own.map((key) => stage.hold(leaver, key)));
    const waits = foreign.map((key) => leaver.acquire(key, { ttlMs: stage.ttlMs, waitMs: 20_000 }));
    await sleep(100 + stage.roll() * 100);
    const fromMs = nowMs();
    await leaver.ask({ do: 'close' });
    stage.judge('I6', 'close', nowMs() - fromMs, 1_000, stage.stolenMs([leaver], fromMs));
    const answers = await Promise.all(waits.map(({ granted }) => granted));
    if (answers.includes(true)) stage.blame('I8', 'a waiter got its lock, though the application closed');
    let left: Readonly<Record<string, number>> = {};
    // the guarded resource has one socket, which is not the locks'
    const isClean = async (): Promise<boolean> => {
      left = await leaver.count();
      return !left['held'] && !left['waiting'] && !left['owed'] && (left['sockets'] ?? 0) <= 1;
    };
    while (!(await isClean()) && nowMs() < fromMs + 1_000 + stage.stolenMs([leaver], fromMs)) await sleep(10);
    if (!(await isClean())) stage.blame('I5', `a second after close(): ${JSON.stringify(left)}`);
    if (stage.world.isOneProcess) return leaver.kill();
    const onServer = (await stage.world.leftovers(`${stage.stem}:own`)).length;
    if (onServer > 0) stage.blame('I5', `${onServer} keys are left of an application that closed`);
    await Promise.all(kept.map((lock) => neighbour.release(lock)));
  },
};
