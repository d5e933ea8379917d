import { setTimeout as sleep } from 'node:timers/promises';
import type { Actor } from '../actor.js';
import { CALL_TIMEOUT_MS, RESULT } from '../contestant.js';
import { nowMs } from '../monotonic.js';
import { within, type Stage } from '../stage.js';
import type { Play } from './play.js';

const MINUTE_MS = 60_000;
/** A try, and a short wait. */
const REFUSED = [0, CALL_TIMEOUT_MS];
const LONGEST_PAUSE_MS = 1_000;

export const serverFrozen: Play = {
  actors: 3,
  async act(stage) {
    const [holder, waiter, visitor] = stage.actors as [Actor, Actor, Actor];
    const { lock, waiting } = await stage.scene(holder, waiter);
    const work = visitor.guard(stage.key('guarded'), 10 * stage.ttlMs, stage.ttlMs + 300);
    await sleep(stage.roll() * stage.ttlMs + 300);
    await stage.world.servers.freeze();
    const endMs = nowMs() + 3 * stage.ttlMs;
    await refusedInTime(stage, visitor, /not answer|cannot be reached/, 'frozen');
    const result = await within(10_000, work);
    if (result !== RESULT) {
      const came = result === undefined ? 'did not come back for 10 s' : `came to ${JSON.stringify(result)}`;
      stage.blame('I8', `guarded work that was done ${came}`);
    }
    await sleep(Math.max(0, endMs - nowMs()));
    if (await holder.with('check', lock))
      stage.blame('I3', 'the holder is told that it holds after three ttl');
    await stage.world.servers.thaw();
    stage.healed();
    await stage.recover(2_000);
    // what was asked for in vain, and has arrived since, is nobody's
    for (const name of REFUSED) {
      const attempt = holder.acquire(stage.key(`frozen${name}`), { ttlMs: stage.ttlMs, waitMs: 5_000 });
      await stage.served(attempt, 2_000);
    }
    await stage.served(waiting, 2_000);
  },
};

/** A try and a wait, while there is nothing to be had: what they come to, and why. */
async function refusedInTime(stage: Stage, actor: Actor, why: RegExp, name: string): Promise<void> {
  await Promise.all(
    REFUSED.map(async (waitMs) => {
      const fromMs = nowMs();
      const attempt = actor.acquire(stage.key(`${name}${waitMs}`), { ttlMs: 20 * stage.ttlMs, waitMs });
      const granted = await within(10_000, attempt.granted);
      if (granted) return stage.blame('I8', `${attempt.id} was granted, though the server was ${name}`);
      if (granted === undefined)
        return stage.blame('I8', `${attempt.id} did not come back for 10 s, with the server ${name}`);
      if (!stage.isOurs) return;
      const said = stage.whyNot(attempt);
      if (said.startsWith('LockUnavailableError') && why.test(said)) return;
      const text = `${attempt.id}, with the server ${name}: ${said}`;
      // a server that could not run did not answer in time, whatever it has to say
      if (/not answer within/.test(said)) stage.blameUnlessStarved('I8', text, [actor], fromMs);
      else stage.blame('I8', text);
    }),
  );
}

export const serverCrashed: Play = {
  actors: 2,
  async act(stage) {
    const [holder, waiter] = stage.actors as [Actor, Actor];
    const { lock, waiting } = await stage.scene(holder, waiter);
    await sleep((stage.roll() * stage.ttlMs) / 2);
    await stage.world.servers.crash(stage.key(), (stage.roll() * stage.ttlMs) / 5);
    stage.healed();
    await stage.recover(2_000);
    await holder.with('write', lock);
    // whoever waits may be in the pause after a try that failed; afterwards it has its place in the line again
    await sleep(LONGEST_PAUSE_MS);
    await holder.release(lock);
    stage.healed();
    await stage.served(waiting, 2_000);
  },
};

export const stateWiped: Play = {
  actors: 2,
  async act(stage) {
    const [holder, waiter] = stage.actors as [Actor, Actor];
    stage.mayBeDouble = true;
    const { lock, waiting } = await stage.scene(holder, waiter);
    await sleep((stage.roll() * stage.ttlMs) / 3);
    await stage.world.servers.wipe(stage.key(), stage.run);
    stage.healed();
    await holder.with('write', lock);
    await stage.served(waiting, 2_000);
    await stage.recover(2_000);
    await holder.with('write', lock);
    if ((await holder.release(lock)) === true)
      stage.blame('I8', 'a lock that was wiped was released with true');
  },
};

export const serverBusy: Play = {
  actors: 3,
  async act(stage) {
    const [holder, waiter, visitor] = stage.actors as [Actor, Actor, Actor];
    const { waiting } = await stage.scene(holder, waiter);
    const busy = stage.world.servers.keepBusy(stage.key(), stage.ttlMs * (1.1 + stage.roll() / 2), stage.run);
    await sleep(50);
    const attempt = visitor.acquire(stage.key('visitor'), { ttlMs: stage.ttlMs, waitMs: CALL_TIMEOUT_MS });
    await Promise.all([busy, attempt.granted]);
    stage.healed();
    await stage.recover(1_000);
    await stage.served(waiting, stage.ttlMs + 1_000);
  },
};

export const serverRefuses: Play = {
  actors: 2,
  async act(stage) {
    const [holder, visitor] = stage.actors as [Actor, Actor];
    const { denials } = stage.world.servers;
    for (const [nth, { name, error, releases, begin, end }] of denials.entries()) {
      const lock = await stage.hold(holder, stage.key(`held${nth}`));
      await begin();
      try {
        if (error) await refusedInTime(stage, visitor, error, name);
        else await servedAllTheSame(stage, visitor, name);
        if (releases && (await holder.release(lock)) !== true) stage.blame('I8', `${name}: not released`);
      } finally {
        await end();
      }
      stage.healed();
      await stage.recover(1_000);
      if (!releases) await holder.release(lock);
    }
  },
};

async function servedAllTheSame(stage: Stage, actor: Actor, name: string): Promise<void> {
  const attempt = actor.acquire(stage.key(name), { ttlMs: stage.ttlMs, waitMs: 2_000 });
  if (!(await attempt.granted)) stage.blame('I8', `${name} was not repaired: ${stage.whyNot(attempt)}`);
}

export const evicted: Play = {
  actors: 2,
  async act(stage) {
    const [holder, waiter] = stage.actors as [Actor, Actor];
    stage.mayBeDouble = true;
    await stage.world.servers.evict?.(async () => {
      await stage.extra();
      if (!stage.history.warnings.some((text) => /maxmemory-policy/.test(text)))
        stage.blame('I3', 'there was no warning at the start');
      const { lock, waiting } = await stage.scene(holder, waiter);
      void holder.with('write', lock);
      void waiting.granted.then(() => holder.with('write', lock));
    });
    await sleep(stage.ttlMs);
    stage.healed();
    await stage.recover(2_000);
  },
};

export const failOver: Play = {
  actors: 2,
  async act(stage) {
    const [holder, waiter] = stage.actors as [Actor, Actor];
    // of three ways one waits for a replica, where that is offered
    const isCareful = stage.world.letter === 'S' && stage.run % 3 === 2;
    const more = isCareful ? { service: 'careful' } : {};
    stage.mayBeDouble = stage.world.letter === 'S' && !isCareful;
    const { lock, waiting } = await stage.scene(holder, waiter, stage.key(), more);
    await stage.world.servers.failOver?.(stage.key(), stage.run);
    stage.healed();
    await holder.with('write', lock);
    await stage.recover(6_000);
    await holder.with('write', lock);
    await holder.release(lock);
    stage.healed();
    await stage.served(waiting, 6_000);
  },
};

/** A clock that was set back and data that are lost later, by another cell, are more than fences outlive. */
export const clockLeaps: Play = {
  actors: 2,
  ruins: true,
  async act(stage) {
    const [holder, waiter] = stage.actors as [Actor, Actor];
    const { servers } = stage.world;
    const ms = stage.run % 2 === 0 ? MINUTE_MS : -MINUTE_MS;
    const ofServer = stage.run % 4 < 2;
    const { lock, waiting } = await stage.scene(holder, waiter);
    // a lease that a server's clock ended early is told at the next renewal
    stage.mayBeDouble = ofServer;
    if (ofServer) await servers.leap?.(ms);
    else await holder.ask({ do: 'leap', ms });
    await sleep(stage.roll() * stage.ttlMs);
    await holder.with('write', lock);
    holder.road.silence();
    stage.healed();
    await stage.served(waiting, stage.ttlMs + 1_000);
    // whose lease a server's clock ended early believes in it until its own deadline
    if (ofServer) await sleep(stage.ttlMs - (nowMs() - stage.healedMs));
    if (await holder.with('check', lock)) stage.blame('I1', 'the one before still believes to hold it');
    if (ofServer) await servers.leap?.(0);
    else await holder.ask({ do: 'leap', ms: -ms });
    holder.road.mend();
    stage.healed();
    await stage.recover(stage.ttlMs + 1_000);
  },
};
