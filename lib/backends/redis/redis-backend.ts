import { setImmediate } from 'node:timers';
import { BackendError } from '../backend-error.js';
import {
  isGrant,
  type BackendContext,
  type BackendTraits,
  type Claim,
  type Grant,
  type LockBackend,
  type LockSnapshot,
  type NodeHealth,
  type Place,
  type RenewOutcome,
} from '../lock-backend.js';
import { abandoned, assertPossible } from '../denied-claim.js';
import { HandOffs, type HandOff } from '../hand-off.js';
import type { HintListener, SignOfLife } from '../hints.js';
import { batchesOf } from './batches.js';
import { lockName } from './key-names.js';
import { scanLocks } from './lock-scan.js';
import { RedisConnection, type RedisTarget } from './redis-connection.js';
import { BackendUsers } from '../backend-users.js';
import { WaitingPlace } from '../waiting-place.js';
import { Replication } from './replication.js';
import { lockSettingsOf, type ResolvedLockSettings } from './redis-settings.js';
import { readBusy, readSnapshot } from './redis-reply.js';
import {
  abandonScript,
  claimScript,
  evictScript,
  inspectScript,
  passScript,
  releaseScript,
  renewScript,
  stayScript,
  type RedisScript,
} from './redis-script.js';
import { SILENCE_MS, Wishes } from './wishes.js';

/** A claim that arrives after it was abandoned is refused for so long. */
const ABANDONED_MS = '60000';

/**
 * Whoever asked for the lock so short a time ago gives it back by the shortest way; whoever asked before may have kept
 * somebody waiting.
 */
const SHORT_HOLD_MS = 1;

/** Locks on one Redis server. Each verb is one script, so one atomic step. */
export class RedisBackend implements LockBackend {
  readonly traits: BackendTraits;

  private readonly users = new BackendUsers('redis');
  private opening: Promise<RedisConnection> | undefined;
  private connection: RedisConnection | undefined;
  private replication: Replication | undefined;
  private wishes = new Wishes('', 0, false);
  private readonly handOffs = new HandOffs();

  constructor(
    private readonly target: RedisTarget,
    private readonly settings: ResolvedLockSettings = lockSettingsOf(),
  ) {
    this.traits = {
      name: 'redis',
      modes: ['exclusive', 'shared', 'permits'],
      fence: 'clocked',
      wakeUp: 'queue',
      pollMs: 300,
      remote: true,
      lockDelayMs: settings.lockDelayMs,
    };
  }

  async start(context: BackendContext): Promise<void> {
    this.users.add(context);
    try {
      this.opening ??= RedisConnection.open(this.target, this.users.asOne(context), this.settings.replicas);
      this.use(await this.opening);
    } catch (error) {
      this.opening = undefined;
      this.users.leave();
      throw error;
    }
  }

  /** Further users come to the connection of the first. */
  private use(connection: RedisConnection): void {
    if (connection === this.connection) return;
    const { lockDelayMs, replicas } = this.settings;
    this.connection = connection;
    this.replication = replicas > 0 ? new Replication(connection, this.settings) : undefined;
    // a cluster does not tell whether anybody hears a message, and replicas have to acknowledge a grant
    const handsOver = !connection.servers.redirects && replicas === 0;
    this.wishes = new Wishes(connection.hints.channel, lockDelayMs, handsOver);
  }

  claim(claim: Claim): Promise<Grant | Place> {
    return begin(() => this.ask(claim));
  }

  async abandon(claim: Claim): Promise<void> {
    this.opened.hints.forget(claim.owner);
    const place = this.wishes.placeOf(claim);
    await this.run('abandon', claim, abandonScript, asItIs, claim.owner, place, ABANDONED_MS);
  }

  async renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    const { servers } = this.opened;
    const batches = batchesOf(grants, ({ claim }) => servers.slotOf(claim.key));
    const answers = await Promise.allSettled(batches.map((batch) => this.renewBatch(batch)));
    const failure = answers.find((answer) => answer.status === 'rejected');
    if (failure && answers.every((answer) => answer.status === 'rejected')) throw failure.reason;
    const outcomes = new Map<Grant, RenewOutcome>();
    for (const [nth, answer] of answers.entries()) {
      if (answer.status === 'rejected') continue;
      batches[nth]?.forEach((grant, at) => outcomes.set(grant, answer.value[at] ?? 'unknown'));
    }
    // one slot that fails says nothing of the others
    return grants.map((grant) => outcomes.get(grant) ?? 'unknown');
  }

  async stay(claims: readonly Claim[]): Promise<readonly boolean[]> {
    const { servers } = this.opened;
    const batches = batchesOf(claims, ({ key }) => servers.slotOf(key));
    const answers = await Promise.allSettled(batches.map((batch) => this.stayBatch(batch)));
    const ask = new Set<Claim>();
    for (const [nth, answer] of answers.entries()) {
      // of those whose servers did not answer, each finds out for himself
      batches[nth]?.forEach((claim, at) => {
        if (answer.status === 'rejected' || answer.value[at] !== false) ask.add(claim);
      });
    }
    return claims.map((claim) => ask.has(claim));
  }

  release(grant: Grant, lingerMs = 0, followed = false): Promise<'released' | 'gone'> {
    const { claim } = grant;
    const send = (): Promise<'released' | 'gone'> => begin(() => this.sendRelease(grant, lingerMs));
    return followed && claim.mode === 'exclusive' && lingerMs === 0
      ? this.handOffs.release(claim, send)
      : send();
  }

  async inspect(key: string): Promise<LockSnapshot | null> {
    return this.run('inspect', { key }, inspectScript, (reply) => readSnapshot(key, reply as string[]));
  }

  async *list(prefix: string): AsyncGenerator<LockSnapshot | undefined> {
    const seen = new Set<string>();
    for await (const keys of scanLocks(this.opened, prefix)) {
      const fresh = keys.filter((key) => !seen.has(key));
      for (const key of fresh) seen.add(key);
      const snapshots = await Promise.all([...new Set(fresh)].map((key) => this.inspect(key)));
      // a server full of keys that are none of ours answers all the time, though it has nothing to tell
      if (snapshots.length === 0) yield undefined;
      for (const snapshot of snapshots) yield snapshot ?? undefined;
    }
  }

  async evict(key: string): Promise<boolean> {
    return this.run('evict', { key }, evictScript, (reply) => Number(reply) === 1);
  }

  async nodes(limitMs?: number): Promise<readonly NodeHealth[]> {
    if (this.connection) return this.connection.health(limitMs);
    return [{ node: 'redis', role: 'unknown', state: 'down', error: 'The Redis backend is not running.' }];
  }

  async stop(): Promise<void> {
    if (!this.users.leave()) return;
    this.handOffs.flush();
    this.opening = undefined;
    const connection = this.connection;
    this.connection = undefined;
    await connection?.close();
  }

  /** @internal One step of a claim. */
  ask(claim: Claim, place?: WaitingPlace): Promise<Grant | Place> {
    return this.replication ? this.askReplicated(this.replication, claim, place) : this.askOnce(claim, place);
  }

  /** A grant counts when enough replicas have it. */
  private async askReplicated(
    replication: Replication,
    claim: Claim,
    place?: WaitingPlace,
  ): Promise<Grant | Place> {
    const step = replication.of(claim.key);
    const answer = await this.askOnce(claim, place);
    if (isGrant(answer)) await step.confirmGrant(answer);
    return answer;
  }

  private askOnce(claim: Claim, place?: WaitingPlace): Promise<Grant | Place> {
    assertPossible(claim);
    const handOff = this.handOffs.takeFor(claim);
    return handOff ? this.passOn(handOff, claim, place) : this.sendClaim(claim, place);
  }

  private sendClaim(claim: Claim, place: WaitingPlace | undefined): Promise<Grant | Place> {
    const { key, owner, ttlMs, queue } = claim;
    const connection = this.opened;
    const given = [
      lockName(key),
      connection.servers.fenceName(key),
      owner,
      String(ttlMs),
      this.wishes.of(claim),
    ];
    const whole = this.wishes.wholeOf(ttlMs);
    if (whole !== undefined) given.push(queue ? '1' : '', whole);
    else if (queue) given.push('1');
    const sentAtMs = connection.clock.now();
    return connection.run({
      verb: 'claim',
      key,
      script: claimScript,
      keyCount: 2,
      keysAndArguments: given,
      read: (reply) => this.answer(claim, reply, sentAtMs, place),
    });
  }

  private answer(
    claim: Claim,
    reply: unknown,
    sentAtMs: number,
    place: WaitingPlace | undefined,
  ): Grant | Place {
    if (!Array.isArray(reply)) return this.granted(claim, reply, sentAtMs, place);
    const busy = readBusy(reply as string[]);
    const sign = { sentAtMs, aliveUntil: Number(reply[3]) };
    if (!place) return new WaitingPlace(this, claim, busy, sign);
    place.goesOn(busy, sign);
    return place;
  }

  /** @internal */
  listen(claim: Claim, listener: HintListener): void {
    if (claim.queue) this.connection?.hints.listen(claim.owner, listener);
  }

  /**
   * @internal A lock that the one before handed over is kept for as long as the place was, so from a moment behind the
   * send of the sign of life that kept the place. Too little of that may be left to renew it in time.
   */
  takeOver(claim: Claim, fence: bigint, stoodAtMs: number): Grant | undefined {
    const { connection } = this;
    if (!connection || connection.clock.now() > stoodAtMs + SILENCE_MS / 2) return undefined;
    connection.hints.forget(claim.owner);
    return { claim, fence, sentAtMs: stoodAtMs, leaseMs: SILENCE_MS };
  }

  private sendRelease({ claim, sentAtMs }: Grant, lingerMs: number): Promise<'released' | 'gone'> {
    const { key, owner, mode } = claim;
    const connection = this.opened;
    const { servers, clock } = connection;
    // in a cluster no lock is handed over, so no fence is needed
    const given = servers.redirects
      ? [lockName(key), ...servers.witnesses(key, mode)]
      : [lockName(key), servers.fenceName(key)];
    const keyCount = given.length;
    given.push(owner);
    if (lingerMs > 0) given.push(String(lingerMs));
    return connection.run({
      verb: 'release',
      key,
      script: releaseScript,
      keyCount,
      keysAndArguments: given,
      read: releaseOutcome,
      othersFirst: clock.now() - sentAtMs > SHORT_HOLD_MS,
    });
  }

  /** Release and claim in one step, on behalf of both. */
  private passOn(handOff: HandOff, claim: Claim, place: WaitingPlace | undefined): Promise<Grant | Place> {
    const { key, owner, ttlMs } = claim;
    const connection = this.opened;
    const given = [
      lockName(key),
      connection.servers.fenceName(key),
      handOff.owner,
      owner,
      String(ttlMs),
      this.wishes.of(claim),
    ];
    const whole = this.wishes.wholeOf(ttlMs);
    if (whole !== undefined) given.push(whole);
    const sentAtMs = connection.clock.now();
    let released!: (outcome: 'released' | 'gone') => void;
    let isReleased = false;
    const answer = connection.run<Grant | Place>({
      verb: 'hand on',
      key,
      script: passScript,
      keyCount: 2,
      keysAndArguments: given,
      read: (reply): Grant | Promise<Grant | Place> => {
        isReleased = true;
        // whoever has it now goes on first, and then who gave it back
        setImmediate(released, releaseOutcome(reply));
        if (Number(reply) > 1) return this.granted(claim, reply, sentAtMs, place);
        // it was given back, and somebody else was before us
        return this.askOnce(claim, place);
      },
    });
    handOff.pass(
      new Promise((resolve, reject) => {
        released = resolve;
        // what becomes of the claim afterwards is not the release's
        answer.catch((error: Error) => {
          if (!isReleased) reject(error);
        });
      }),
    );
    return answer;
  }

  private granted(claim: Claim, reply: unknown, sentAtMs: number, place: WaitingPlace | undefined): Grant {
    if (place) this.connection?.hints.forget(claim.owner);
    const fence = BigInt(reply as string | number);
    if (fence === 0n) throw abandoned(claim);
    return { claim, fence, sentAtMs };
  }

  private async renewBatch(grants: readonly Grant[]): Promise<RenewOutcome[]> {
    this.handOffs.flush();
    const step = this.replication?.of(grants[0]?.claim.key ?? '');
    const names = grants.map(({ claim }) => lockName(claim.key));
    const { servers } = this.opened;
    names.push(...grants.flatMap(({ claim }) => servers.witnesses(claim.key, claim.mode)));
    const leases = grants.flatMap(({ claim }) => [claim.owner, String(claim.ttlMs)]);
    const what = nameOf(grants.map(({ claim }) => claim.key));
    const outcomes = await this.opened.run({
      verb: 'renew',
      key: what,
      script: renewScript,
      keyCount: names.length,
      keysAndArguments: [...names, ...leases],
      read: (reply) =>
        Array.from(String(reply), (digit): RenewOutcome => (digit === '1' ? 'renewed' : 'gone')),
    });
    return step ? step.confirmRenewal(what, grants, outcomes) : outcomes;
  }

  private async stayBatch(claims: readonly Claim[]): Promise<boolean[]> {
    this.handOffs.flush();
    const { servers } = this.opened;
    const names = claims.map(({ key }) => lockName(key));
    names.push(...claims.flatMap(({ key, mode }) => servers.witnesses(key, mode)));
    const places = claims.map((claim) => this.wishes.placeOf(claim));
    const sentAtMs = this.opened.clock.now();
    return this.opened.run({
      verb: 'keep the place in the line of',
      key: nameOf(claims.map(({ key }) => key)),
      script: stayScript,
      keyCount: names.length,
      keysAndArguments: [...names, ...places],
      read: (reply) => {
        const [digits, aliveUntil] = reply as [string, string | number];
        const ask = Array.from(digits, (digit) => digit === '1');
        // at once: a message that says what became of a place may be right behind
        this.stood(
          claims.filter((_, nth) => ask[nth] === false),
          { sentAtMs, aliveUntil: Number(aliveUntil) },
        );
        return ask;
      },
    });
  }

  private stood(claims: readonly Claim[], sign: SignOfLife): void {
    for (const { owner } of claims) this.connection?.hints.stoodAt(owner, sign);
  }

  private run<T>(
    verb: string,
    { key, mode }: Pick<Claim, 'key'> & Partial<Pick<Claim, 'mode'>>,
    script: RedisScript,
    read: (reply: unknown) => T,
    ...given: string[]
  ): Promise<T> {
    this.handOffs.flush();
    const connection = this.opened;
    const names = [lockName(key), ...connection.servers.witnesses(key, mode)];
    return connection.run({
      verb,
      key,
      script,
      keyCount: names.length,
      keysAndArguments: [...names, ...given],
      read,
    });
  }

  private get opened(): RedisConnection {
    if (this.connection) return this.connection;
    throw new BackendError(
      'The Redis backend is not running: start it before use, and stop it after.',
      'denied',
    );
  }
}

/** Of the locks of a batch, for people. */
function nameOf(keys: readonly string[]): string {
  return keys.length === 1 ? (keys[0] ?? '') : `${keys.length} locks`;
}

/** Of a release, or of one that was part of a hand-off: the fence of the next owner says that it was released. */
function releaseOutcome(reply: unknown): 'released' | 'gone' {
  return Number(reply) === 0 ? 'gone' : 'released';
}

/** What is thrown before anything is sent rejects, as all that fails later does. */
function begin<T>(step: () => Promise<T>): Promise<T> {
  try {
    return step();
  } catch (error) {
    const cause = error as Error;
    return Promise.reject(cause);
  }
}

function asItIs(reply: unknown): unknown {
  return reply;
}
