import { worstOverlap, type Belief } from '../judges/belief.js';
import { EXCLUSIVE } from '../judges/share.js';
import { CALL_TIMEOUT_MS } from './contestant.js';
import type { Holding, History } from './history.js';
import type { Resource } from './resource.js';
import type { Stage } from './stage.js';

/** What a call may take beyond its own deadline. */
const GRACE_MS = 250;
const KNOWN_ERRORS = /^(Lock(Timeout|Unavailable|Lost)Error|Error: aborted by its caller)$/;

/** Judges one run by its history: finds what breaks a promise, and the worst figures. */
export async function judge(stage: Stage, resource: Resource): Promise<void> {
  const { history } = stage;
  for (const holdings of byKey(history.all)) {
    await judgeWrites(stage, holdings, resource);
    judgeFences(stage, holdings);
    judgeWakeUps(stage, holdings);
  }
  judgeBeliefs(stage);
  for (const holding of history.all) judgeLoss(stage, holding);
  judgeCalls(stage);
  for (const text of history.unhandled) stage.blame('I7', text);
}

/** The counter has the value of all writes that were accepted: none of them was made in ignorance of another. */
async function judgeWrites(stage: Stage, [first]: readonly Holding[], { client }: Resource): Promise<void> {
  if (!first) return;
  const { value, writes } = await client.ask({ do: 'audit', key: first.key });
  if (value !== writes)
    stage.blame('I1', `${first.key}: ${writes - value} of ${writes} accepted writes were lost`);
}

/** Whoever acquired after another had acquired has the higher fence. */
function judgeFences(stage: Stage, holdings: readonly Holding[]): void {
  for (const before of holdings) {
    for (const after of holdings) {
      if (before.fence === undefined || after.fence === undefined || after.invMs <= before.retMs) continue;
      if (after.fence <= before.fence)
        stage.blame('I1', `${after.key}: fence ${after.fence} after ${before.fence}`);
    }
  }
}

/** I2: from the return of the acquisition to its release, its loss, its last proven end, or its holder's death. */
function judgeBeliefs(stage: Stage): void {
  const beliefs = stage.history.all.map((holding, at): Belief => {
    const { releasingMs = Infinity, lost, diedMs = Infinity } = holding;
    const untilMs = Math.min(releasingMs, lost?.atMs ?? Infinity, diedMs, provenEndMs(holding));
    return {
      key: holding.key,
      who: holding.actor,
      // where there are none, nobody shares a grant
      fence: holding.fence ?? BigInt(at),
      share: EXCLUSIVE,
      fromMs: holding.retMs,
      untilMs,
    };
  });
  const overlap = worstOverlap(beliefs);
  stage.note('overlap', (overlap?.us ?? 0) / 1_000);
  if (overlap && !stage.mayBeDouble)
    stage.blame('I2', `${overlap.key}: ${overlap.who.join(' and ')} for ${overlap.us} µs`);
}

/** When the server may end the lease at the earliest, by what it confirmed; without proofs only its word counts. */
function provenEndMs({ proofs }: Holding): number {
  return proofs.length === 0 ? Infinity : Math.max(...proofs.map(({ sentMs, ttlMs }) => sentMs + ttlMs));
}

function judgeLoss(stage: Stage, holding: Holding): void {
  const { history } = stage;
  const { actor, lost, releasingMs = Infinity, diedMs = Infinity } = holding;
  const endMs = endOf(holding);
  for (const { atMs, held } of holding.checks)
    if (held && atMs > endMs)
      stage.blame('I3', `${holding.key}: ${actor} was told that it holds, ${ms(atMs - endMs)} after its end`);
  const stopsMs = Math.min(releasingMs, diedMs);
  if (endMs > stopsMs) return;
  const toldMs = lost?.atMs ?? Infinity;
  // who cannot run cannot be told; then the first look at the clock has to tell
  const runsMs = runsAgainMs(history, actor, endMs);
  const lateMs = toldMs - runsMs;
  const stolenMs = stage.stolenMs([actor], endMs, Math.min(toldMs, endMs + 60_000));
  stage.note('told late', lateMs);
  if (lateMs > stolenMs + (runsMs > endMs ? stage.wakeUpMs : 0))
    stage.blame(
      'I3',
      `${holding.key}: ${actor} was told ${ms(lateMs)} too late (starved for ${ms(stolenMs)})`,
    );
}

/** When nothing that the server confirmed supports the belief any more; without proofs by its first ttl. */
function endOf(holding: Holding): number {
  return holding.proofs.length === 0 ? Infinity : provenEndMs(holding);
}

function runsAgainMs({ pauses }: History, actor: string, atMs: number): number {
  const pause = pauses.find(
    (candidate) => candidate.actor === actor && candidate.fromMs <= atMs && atMs <= candidate.toMs,
  );
  return pause?.toMs ?? atMs;
}

/** I4: from the moment at which a key was certainly free, or its next holder asked for it. */
function judgeWakeUps(stage: Stage, holdings: readonly Holding[]): void {
  const inOrder = [...holdings].sort((one, other) => one.retMs - other.retMs);
  inOrder.forEach((holding, at) => {
    const before = inOrder[at - 1];
    if (!before) return;
    const { key, actor, invMs, retMs } = holding;
    // who gave up may have been granted it at that very moment, and have given it back
    const givenUp = stage.history.refusals.filter((refusal) => refusal.key === key && refusal.retMs < retMs);
    const fromMs = Math.max(
      invMs,
      freeMs(before),
      stage.healedMs,
      stage.freeFrom.get(key) ?? -Infinity,
      runsAgainMs(stage.history, actor, freeMs(before)),
      ...givenUp.map((refusal) => refusal.retMs),
    );
    const gapMs = retMs - fromMs;
    const stolenMs = stage.stolenMs([actor, before.actor], fromMs, retMs);
    stage.note('I4 gap', gapMs);
    stage.note('starved', Math.min(gapMs, stolenMs));
    if (gapMs - stolenMs > stage.wakeUpMs)
      stage.blame(
        'I4',
        `${key} was free for ${ms(gapMs)} before ${actor} had it (starved for ${ms(stolenMs)})`,
      );
  });
}

/** When the key was free at the latest. */
function freeMs({ released, proofs, diedMs = -Infinity, retMs, ttlMs }: Holding): number {
  if (released?.answer === true) return released.retMs;
  const heardMs = Math.max(retMs, ...proofs.map((proof) => proof.heardMs));
  // a renewal may have been on its way when its sender died
  return Math.max(heardMs, diedMs) + ttlMs;
}

function judgeCalls(stage: Stage): void {
  const { history } = stage;
  const settled = [...history.all, ...history.refusals];
  for (const { actor, key, invMs, retMs, waitMs } of settled) {
    const limitMs =
      (waitMs === 0 ? CALL_TIMEOUT_MS : waitMs) + GRACE_MS + pausedMs(history, actor, invMs, retMs);
    const stolenMs = stage.stolenMs([actor], retMs - GRACE_MS, retMs);
    if (retMs - invMs > limitMs + stolenMs)
      stage.blame('I8', `${key}: a call of ${actor} took ${ms(retMs - invMs)}, with a wait of ${waitMs} ms`);
  }
  for (const { actor, key, releasingMs = NaN, released } of history.all) {
    if (!released) continue;
    const tookMs = released.retMs - releasingMs - pausedMs(history, actor, releasingMs, released.retMs);
    const stolenMs = stage.stolenMs([actor], releasingMs, released.retMs);
    stage.note('release', tookMs);
    if (tookMs > CALL_TIMEOUT_MS + GRACE_MS + stolenMs)
      stage.blame('I8', `${key}: a release of ${actor} took ${ms(tookMs)}`);
    if (typeof released.answer === 'string' && stage.isOurs && !KNOWN_ERRORS.test(released.answer))
      stage.blame('I8', `${key}: a release of ${actor} was rejected with ${released.answer}`);
  }
  for (const { actor, key, error, message } of stage.isOurs ? history.refusals : [])
    if (!KNOWN_ERRORS.test(error) && !KNOWN_ERRORS.test(`${error}: ${message}`))
      stage.blame('I8', `${key}: ${actor} was refused with ${error}: ${message}`);
  for (const call of history.unsettled) stage.blame('I8', `${call} was never answered`);
}

function pausedMs({ pauses }: History, actor: string, fromMs: number, toMs: number): number {
  const ofActor = pauses.filter((pause) => pause.actor === actor);
  return ofActor.reduce(
    (sum, pause) => sum + Math.max(0, Math.min(toMs, pause.toMs) - Math.max(fromMs, pause.fromMs)),
    0,
  );
}

function byKey(holdings: readonly Holding[]): Holding[][] {
  const keys = new Map<string, Holding[]>();
  for (const holding of holdings) keys.set(holding.key, [...(keys.get(holding.key) ?? []), holding]);
  return [...keys.values()];
}

function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}
