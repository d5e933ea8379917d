import { BackendError } from '../backend-error.js';
import type {
  BackendContext,
  BackendTraits,
  Claim,
  Grant,
  LockBackend,
  LockSnapshot,
  NodeHealth,
  Place,
  RenewOutcome,
} from '../lock-backend.js';
import { HandOff } from './hand-off.js';
import { fenceName, lockName, lockOf, lockPattern } from './key-names.js';
import { keyPrefixOf } from './redis-client.js';
import { RedisConnection, type RedisTarget, type Step } from './redis-connection.js';
import { RedisUsers } from './redis-users.js';
import { RedisPlace } from './redis-place.js';
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

/** So many leases or places are kept in one step; nobody else is served meanwhile, for about half a millisecond. */
const BATCH = 250;
/** A claim that arrives after it was abandoned is refused for so long. */
const ABANDONED_MS = '60000';
const SCAN_SIZE = '250';
/** Whoever awaits it goes on when all that is being done now has been done. */
const END_OF_TURN = Promise.resolve();

/** Locks on one Redis server. Each verb is one script, so one atomic step. */
export class RedisBackend implements LockBackend {
  readonly traits: BackendTraits;
  /** Behind the kind of a holder or a place; nothing without a lockDelay. */
  private readonly delay: string;

  private readonly users = new RedisUsers();
  private opening: Promise<RedisConnection> | undefined;
  private connection: RedisConnection | undefined;
  private handOff: HandOff | undefined;

  constructor(
    private readonly target: RedisTarget,
    private readonly settings: ResolvedLockSettings = lockSettingsOf(),
  ) {
    const { lockDelayMs } = settings;
    this.delay = lockDelayMs > 0 ? `+${lockDelayMs}` : '';
    this.traits = {
      name: 'redis',
      modes: ['exclusive', 'shared', 'permits'],
      fence: 'clocked',
      wakeUp: 'queue',
      pollMs: 300,
      remote: true,
      lockDelayMs,
    };
  }

  async start(context: BackendContext): Promise<void> {
    this.users.add(context);
    try {
      this.opening ??= RedisConnection.open(this.target, this.users.asOne(context));
      this.connection = await this.opening;
    } catch (error) {
      this.opening = undefined;
      this.users.leave();
      throw error;
    }
  }

  claim(claim: Claim): Promise<Grant | Place> {
    return this.ask(claim);
  }

  async abandon(claim: Claim): Promise<void> {
    const { hints } = this.opened;
    hints.forget(claim.owner);
    const place = `${this.wishOf(claim, hints.channel)}|${claim.owner}`;
    await this.run('abandon', claim.key, abandonScript, claim.owner, place, ABANDONED_MS);
  }

  async renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    const batches = inBatches(grants);
    const answers = await Promise.allSettled(batches.map((batch) => this.renewBatch(batch)));
    const failure = answers.find((answer) => answer.status === 'rejected');
    if (failure && answers.every((answer) => answer.status === 'rejected')) throw failure.reason;
    return answers.flatMap((answer, at) =>
      answer.status === 'fulfilled' ? answer.value : (batches[at] ?? []).map((): RenewOutcome => 'unknown'),
    );
  }

  async stay(claims: readonly Claim[]): Promise<readonly boolean[]> {
    const answers = await Promise.all(inBatches(claims).map((batch) => this.stayBatch(batch)));
    return answers.flat();
  }

  async release({ claim }: Grant, lingerMs = 0): Promise<'released' | 'gone'> {
    if (claim.mode !== 'exclusive' || lingerMs > 0)
      return releaseOutcome(await this.sendRelease(claim, lingerMs));
    this.handOff?.send();
    const handOff = new HandOff(claim, () => this.sendRelease(claim));
    this.handOff = handOff;
    // the claim of the next caller here follows in the same turn, if there is one
    await END_OF_TURN;
    if (this.handOff === handOff) this.handOff = undefined;
    try {
      handOff.send();
      return releaseOutcome(await handOff.reply);
    } catch (error) {
      // of both together; a release alone needs less
      if (!handOff.passed || !isDenied(error)) throw error;
      return releaseOutcome(await this.sendRelease(claim));
    }
  }

  async inspect(key: string): Promise<LockSnapshot | null> {
    const reply = await this.run('inspect', key, inspectScript);
    return readSnapshot(key, reply as string[]);
  }

  async *list(prefix: string): AsyncGenerator<LockSnapshot> {
    const clientPrefix = keyPrefixOf(this.opened.client);
    const pattern = lockPattern(clientPrefix, prefix);
    const seen = new Set<string>();
    let cursor = '0';
    do {
      const [next, names] = await this.opened.scan(cursor, pattern, SCAN_SIZE);
      cursor = next;
      const keys = names.map((name) => lockOf(name.slice(clientPrefix.length)));
      const fresh = new Set(keys.filter((key): key is string => key !== undefined && !seen.has(key)));
      for (const key of fresh) seen.add(key);
      const snapshots = await Promise.all([...fresh].map((key) => this.inspect(key)));
      for (const snapshot of snapshots) if (snapshot) yield snapshot;
    } while (cursor !== '0');
  }

  async evict(key: string): Promise<boolean> {
    const reply = await this.run('evict', key, evictScript);
    return Number(reply) === 1;
  }

  async nodes(): Promise<readonly NodeHealth[]> {
    if (this.connection) return [await this.connection.health()];
    return [{ node: 'redis', role: 'unknown', state: 'down', error: 'The Redis backend is not running.' }];
  }

  async stop(): Promise<void> {
    if (!this.users.leave()) return;
    this.handOff?.send();
    this.opening = undefined;
    const connection = this.connection;
    this.connection = undefined;
    await connection?.close();
  }

  /** @internal One step of a claim. */
  async ask(claim: Claim, place?: RedisPlace): Promise<Grant | Place> {
    if (claim.take > claim.of && claim.mode === 'permits') throw impossible(claim);
    const { key, owner, ttlMs, queue } = claim;
    const connection = this.opened;
    const { hints } = connection;
    const wish = this.wishOf(claim, hints.channel);
    const given = [lockName(key), fenceName(key), owner, String(ttlMs), wish];
    if (this.delay !== '') given.push(queue ? '1' : '', this.wholeOf(ttlMs));
    else if (queue) given.push('1');
    const step: Step = { verb: 'claim', key, script: claimScript, keyCount: 2, keysAndArguments: given };
    if (this.handOff?.isFor(claim)) {
      const sentAtMs = connection.clock.now();
      const reply = await this.passOn(this.handOff, claim, wish);
      // else it was given back, and somebody else was before us
      if (Number(reply) > 1) return this.granted(claim, reply, sentAtMs, place);
    }
    this.handOff?.send();
    const sentAtMs = connection.clock.now();
    let reply: unknown;
    try {
      reply = await connection.send(step);
    } catch (error) {
      reply = await connection.repair(step, error);
    }
    if (!Array.isArray(reply)) return this.granted(claim, reply, sentAtMs, place);
    const busy = readBusy(reply as string[]);
    if (!place) return new RedisPlace(this, claim, busy);
    place.busy = busy;
    return place;
  }

  /** @internal */
  listen(claim: Claim, wake: () => void): void {
    if (claim.queue) this.connection?.hints.listen(claim.owner, wake);
  }

  private async sendRelease({ key, owner }: Claim, lingerMs = 0): Promise<unknown> {
    const connection = this.opened;
    const given = lingerMs > 0 ? [lockName(key), owner, String(lingerMs)] : [lockName(key), owner];
    const step: Step = { verb: 'release', key, script: releaseScript, keyCount: 1, keysAndArguments: given };
    try {
      return await connection.send(step);
    } catch (error) {
      return connection.repair(step, error);
    }
  }

  /** Release and claim in one step, on behalf of both. */
  private passOn(handOff: HandOff, { key, owner, ttlMs }: Claim, wish: string): Promise<unknown> {
    this.handOff = undefined;
    const given = [lockName(key), fenceName(key), handOff.owner, owner, String(ttlMs), wish];
    if (this.delay !== '') given.push(this.wholeOf(ttlMs));
    const step: Step = { verb: 'hand on', key, script: passScript, keyCount: 2, keysAndArguments: given };
    return handOff.pass(this.opened.run(step));
  }

  private granted(claim: Claim, reply: unknown, sentAtMs: number, place: RedisPlace | undefined): Grant {
    if (place) this.connection?.hints.forget(claim.owner);
    const fence = BigInt(reply as string | number);
    if (fence === 0n) throw abandoned(claim);
    return { claim, fence, sentAtMs };
  }

  private async renewBatch(grants: readonly Grant[]): Promise<RenewOutcome[]> {
    this.handOff?.send();
    const names = grants.map(({ claim }) => lockName(claim.key));
    const leases = grants.flatMap(({ claim }) => [claim.owner, String(claim.ttlMs)]);
    const reply = await this.opened.run({
      verb: 'renew',
      key: nameOf(grants.map(({ claim }) => claim.key)),
      script: renewScript,
      keyCount: names.length,
      keysAndArguments: [...names, ...leases],
    });
    return Array.from(String(reply), (digit) => (digit === '1' ? 'renewed' : 'gone'));
  }

  private async stayBatch(claims: readonly Claim[]): Promise<boolean[]> {
    this.handOff?.send();
    const { hints } = this.opened;
    const names = claims.map(({ key }) => lockName(key));
    const places = claims.map((claim) => `${this.wishOf(claim, hints.channel)}|${claim.owner}`);
    const reply = await this.opened.run({
      verb: 'keep the place in the line of',
      key: nameOf(claims.map(({ key }) => key)),
      script: stayScript,
      keyCount: names.length,
      keysAndArguments: [...names, ...places],
    });
    return Array.from(String(reply), (digit) => digit === '1');
  }

  private run(verb: string, key: string, script: RedisScript, ...given: string[]): Promise<unknown> {
    this.handOff?.send();
    return this.opened.run({ verb, key, script, keyCount: 1, keysAndArguments: [lockName(key), ...given] });
  }

  /** What the scripts take for mode, take and of, and for whom to tell. */
  private wishOf({ mode, take, of }: Claim, channel: string): string {
    const { delay } = this;
    if (mode === 'exclusive') return `e${delay}|${channel}`;
    return mode === 'shared' ? `s${delay}|${channel}` : `p,${take},${of}${delay}|${channel}`;
  }

  /** For how long the server keeps a lease and the lockDelay behind it. */
  private wholeOf(ttlMs: number): string {
    return String(ttlMs + this.settings.lockDelayMs);
  }

  private get opened(): RedisConnection {
    if (this.connection) return this.connection;
    throw new BackendError(
      'The Redis backend is not running: start it before use, and stop it after.',
      'denied',
    );
  }
}

function inBatches<T>(items: readonly T[]): T[][] {
  const batches: T[][] = [];
  for (let at = 0; at < items.length; at += BATCH) batches.push(items.slice(at, at + BATCH));
  return batches;
}

/** Of the locks of a batch, for people. */
function nameOf(keys: readonly string[]): string {
  return keys.length === 1 ? (keys[0] ?? '') : `${keys.length} locks`;
}

/** Of a release, or of one that was part of a hand-off: the fence of the next owner says that it was released. */
function releaseOutcome(reply: unknown): 'released' | 'gone' {
  return Number(reply) === 0 ? 'gone' : 'released';
}

function isDenied(error: unknown): boolean {
  return error instanceof BackendError && error.certainty === 'denied';
}

function abandoned({ key, owner }: Claim): BackendError {
  return new BackendError(`The claim of ${owner} on "${key}" arrived after it had been abandoned.`, 'denied');
}

function impossible({ key, take, of }: Claim): BackendError {
  return new BackendError(
    `Nobody can take ${take} of ${of} permits of "${key}"; take at most ${of}.`,
    'denied',
  );
}
