import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../../support/until.js';
import type { Actor, Attempt } from '../actor.js';
import { leaderKeyOf } from '../contestant.js';
import type { Stage } from '../stage.js';
import type { Play } from './play.js';

/** What an application has that sets nothing. */
const TTL_MS = 15_000;
const RETRY_MS = 2_000;
const RESIGNED_MS = 50;
const RECONNECT_MS = 1_000;

/** Two candidates: the first leader resigns, and the second is killed or cut off. */
export const leaderGone: Play = {
  actors: 0,
  async act(stage) {
    const [first, second] = [await stage.extra(), await stage.extra()];
    stage.healed();
    const term = stand(stage, first);
    await stage.served(term, RECONNECT_MS);
    const next = stand(stage, second);
    await inLine(stage, first);
    await sleep(stage.roll() * 500);
    stage.healed();
    if ((await first.release(term)) !== true) stage.blame('I6', 'a leader could not resign');
    await stage.served(next, stage.world.isPolled ? RETRY_MS : RESIGNED_MS);
    const again = stand(stage, first);
    await inLine(stage, second);
    await sleep(stage.roll() * RETRY_MS);
    stage.healed();
    if (stage.run % 2 === 0) await second.kill();
    else second.road.silence();
    await stage.served(again, TTL_MS + RETRY_MS);
    if (second.alive && (await second.with('check', next))) stage.blame('I3', 'who is cut off still leads');
    second.road.mend();
    await first.release(again);
  },
};

function stand(stage: Stage, candidate: Actor): Attempt {
  return candidate.acquire(stage.key(), { ttlMs: TTL_MS, waitMs: 2 * TTL_MS, leads: true });
}

/** Resolves when the other candidate stands in the line. */
async function inLine(stage: Stage, leader: Actor): Promise<void> {
  const isThere = async (): Promise<boolean> =>
    ((await leader.inspect(leaderKeyOf(stage.key())))?.waiting ?? 0) > 0;
  await until(isThere, 'a second candidate', 20_000);
}
