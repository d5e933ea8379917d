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
import { lockName, lockOf, lockPattern } from './key-names.js';
import { keyPrefixOf } from './redis-client.js';
import { RedisConnection, type RedisTarget, type Step } from './redis-connection.js';
import { RedisUsers } from './redis-users.js';
import { RedisPlace } from './redis-place.js';
import { readBusy, readSnapshot } from './redis-reply.js';
import {
  abandonScript,
  claimScript,
  evictScript,
  inspectScript,
  passScript,
  releaseScript,
  renewScript,
  type RedisScript,
} from './redis-script.js';

/** So many leases are renewed in one step; nobody else is served meanwhile, for about half a millisecond. */
const RENEWAL_BATCH = 250;
/** A claim that arrives after it was abandoned is refused for so long. */
const ABANDONED_MS = '60000';
const SCAN_SIZE = '250';
/** Whoever awaits it goes on when all that is being done now has been done. */
const END_OF_TURN = Promise.resolve();

/** Locks on one Redis server. Each verb is one script, so one atomic step. */
export class RedisBackend implements LockBackend {
  readonly traits: BackendTraits = {
    name: 'redis',
    modes: ['exclusive', 'shared', 'permits'],
    fence: 'clocked',
    wakeUp: 'queue',
    pollMs: 300,
    remote: true,
  };

  private readonly users = new RedisUsers();
  private opening: Promise<RedisConnection> | undefined;
  private connection: RedisConnection | undefined;
  private handOff: HandOff | undefined;

  constructor(private readonly target: RedisTarget) {}

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
    const place = `${wishOf(claim, hints.channel)}|${claim.owner}`;
    await this.run('abandon', claim, abandonScript, claim.owner, place, ABANDONED_MS);
  }

  async renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    const batches = batchesOf(grants, ({ claim }) => this.opened.servers.slotOf(claim.key));
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
    const reply = await this.run('inspect', { key }, inspectScript);
    return readSnapshot(key, reply as string[]);
  }

  async *list(prefix: string): AsyncGenerator<LockSnapshot> {
    const seen = new Set<string>();
    for await (const keys of this.pages(prefix)) {
      const fresh = keys.filter((key) => !seen.has(key));
      for (const key of fresh) seen.add(key);
      const snapshots = await Promise.all([...new Set(fresh)].map((key) => this.inspect(key)));
      for (const snapshot of snapshots) if (snapshot) yield snapshot;
    }
  }

  async evict(key: string): Promise<boolean> {
    const reply = await this.run('evict', { key }, evictScript);
    return Number(reply) === 1;
  }

  async nodes(): Promise<readonly NodeHealth[]> {
    if (this.connection) return this.connection.health();
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
    const wish = wishOf(claim, hints.channel);
    const given = [lockName(key), connection.servers.fenceName(key), owner, String(ttlMs), wish];
    if (queue) given.push('1');
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

  /** The keys of locks, primary by primary, page by page; some more than once, as SCAN has it. */
  private async *pages(prefix: string): AsyncGenerator<string[]> {
    const connection = this.opened;
    const clientPrefix = keyPrefixOf(connection.client);
    const pattern = lockPattern(clientPrefix, prefix);
    for (const node of connection.servers.primaries()) {
      let cursor = '0';
      do {
        const [next, names] = await connection.scan(node, cursor, pattern, SCAN_SIZE);
        cursor = next;
        const keys = names.map((name) => lockOf(name.slice(clientPrefix.length)));
        yield keys.filter((key) => key !== undefined);
      } while (cursor !== '0');
    }
  }

  private async sendRelease({ key, owner, mode }: Claim, lingerMs = 0): Promise<unknown> {
    const connection = this.opened;
    const given = [lockName(key), ...connection.servers.witnesses(key, mode)];
    const keyCount = given.length;
    given.push(owner);
    if (lingerMs > 0) given.push(String(lingerMs));
    const step: Step = { verb: 'release', key, script: releaseScript, keyCount, keysAndArguments: given };
    try {
      return await connection.send(step);
    } catch (error) {
      return connection.repair(step, error);
    }
  }

  /** Release and claim in one step, on behalf of both. */
  private passOn(handOff: HandOff, { key, owner, ttlMs }: Claim, wish: string): Promise<unknown> {
    this.handOff = undefined;
    const { servers } = this.opened;
    const given = [lockName(key), servers.fenceName(key), handOff.owner, owner, String(ttlMs), wish];
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
    const { servers } = this.opened;
    names.push(...grants.flatMap(({ claim }) => servers.witnesses(claim.key, claim.mode)));
    const leases = grants.flatMap(({ claim }) => [claim.owner, String(claim.ttlMs)]);
    const reply = await this.opened.run({
      verb: 'renew',
      key: grants.length === 1 ? (grants[0]?.claim.key ?? '') : `${grants.length} locks`,
      script: renewScript,
      keyCount: names.length,
      keysAndArguments: [...names, ...leases],
    });
    return Array.from(String(reply), (digit) => (digit === '1' ? 'renewed' : 'gone'));
  }

  private run(
    verb: string,
    { key, mode }: Pick<Claim, 'key'> & Partial<Pick<Claim, 'mode'>>,
    script: RedisScript,
    ...given: string[]
  ): Promise<unknown> {
    this.handOff?.send();
    const connection = this.opened;
    const names = [lockName(key), ...connection.servers.witnesses(key, mode)];
    return connection.run({
      verb,
      key,
      script,
      keyCount: names.length,
      keysAndArguments: [...names, ...given],
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

/** Leases that one step can renew: of one slot, and not too many. */
function batchesOf(grants: readonly Grant[], slotOf: (grant: Grant) => number): Grant[][] {
  const batches: Grant[][] = [];
  const open = new Map<number, Grant[]>();
  for (const grant of grants) {
    const slot = slotOf(grant);
    let batch = open.get(slot);
    if (!batch || batch.length === RENEWAL_BATCH) {
      batch = [];
      batches.push(batch);
      open.set(slot, batch);
    }
    batch.push(grant);
  }
  return batches;
}

/** Of a release, or of one that was part of a hand-off: the fence of the next owner says that it was released. */
function releaseOutcome(reply: unknown): 'released' | 'gone' {
  return Number(reply) === 0 ? 'gone' : 'released';
}

function isDenied(error: unknown): boolean {
  return error instanceof BackendError && error.certainty === 'denied';
}

/** What the scripts take for mode, take and of, and for whom to tell. */
function wishOf({ mode, take, of }: Claim, channel: string): string {
  if (mode === 'exclusive') return `e|${channel}`;
  return mode === 'shared' ? `s|${channel}` : `p,${take},${of}|${channel}`;
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
