import { BackendError } from '../backend-error.js';
import type {
  BackendContext,
  BackendTraits,
  Busy,
  Claim,
  Grant,
  LockBackend,
  LockSnapshot,
  NodeHealth,
  Place,
  RenewOutcome,
} from '../lock-backend.js';
import { fenceName, lockName, lockOf, lockPattern } from './key-names.js';
import { keyPrefixOf } from './redis-client.js';
import { RedisConnection, type RedisTarget } from './redis-connection.js';
import { isBusy, RedisPlace } from './redis-place.js';
import { readBusy, readSnapshot } from './redis-reply.js';
import {
  abandonScript,
  claimScript,
  evictScript,
  inspectScript,
  releaseScript,
  renewScript,
} from './redis-script.js';

/** So many leases are renewed in one step; nobody else is served meanwhile, for about 0.3 ms. */
const RENEWAL_BATCH = 250;
/** A claim that arrives after it was abandoned is refused for so long. */
const ABANDONED_MS = '60000';
const SCAN_SIZE = '250';

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

  private connection: RedisConnection | undefined;

  constructor(private readonly target: RedisTarget) {}

  async start(context: BackendContext): Promise<void> {
    this.connection = await RedisConnection.open(this.target, context);
  }

  async claim(claim: Claim): Promise<Grant | Place> {
    const answer = await this.ask(claim);
    return isBusy(answer) ? new RedisPlace(this, claim, answer) : answer;
  }

  async abandon(claim: Claim): Promise<void> {
    const { hints } = this.opened;
    hints.forget(claim.owner);
    const place = `${kindOf(claim)}|${hints.channel}|${claim.owner}`;
    await this.opened.run('abandon', claim.key, abandonScript, 1, [
      lockName(claim.key),
      claim.owner,
      place,
      ABANDONED_MS,
    ]);
  }

  async renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    const batches: Grant[][] = [];
    for (let at = 0; at < grants.length; at += RENEWAL_BATCH)
      batches.push(grants.slice(at, at + RENEWAL_BATCH));
    const answers = await Promise.allSettled(batches.map((batch) => this.renewBatch(batch)));
    const failure = answers.find((answer) => answer.status === 'rejected');
    if (failure && answers.every((answer) => answer.status === 'rejected')) throw failure.reason;
    return answers.flatMap((answer, at) =>
      answer.status === 'fulfilled' ? answer.value : (batches[at] ?? []).map((): RenewOutcome => 'unknown'),
    );
  }

  async release({ claim }: Grant, lingerMs = 0): Promise<'released' | 'gone'> {
    const name = lockName(claim.key);
    const given = lingerMs > 0 ? [name, claim.owner, String(lingerMs)] : [name, claim.owner];
    const reply = await this.opened.run('release', claim.key, releaseScript, 1, given);
    return Number(reply) === 1 ? 'released' : 'gone';
  }

  async inspect(key: string): Promise<LockSnapshot | null> {
    const reply = await this.opened.run('inspect', key, inspectScript, 1, [lockName(key)]);
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
    const reply = await this.opened.run('evict', key, evictScript, 1, [lockName(key)]);
    return Number(reply) === 1;
  }

  async nodes(): Promise<readonly NodeHealth[]> {
    if (this.connection) return [await this.connection.health()];
    return [{ node: 'redis', role: 'unknown', state: 'down', error: 'The Redis backend is not running.' }];
  }

  async stop(): Promise<void> {
    const connection = this.connection;
    this.connection = undefined;
    await connection?.close();
  }

  /** @internal One step of a claim: the grant, or who is in the way. */
  async ask(claim: Claim): Promise<Grant | Busy> {
    if (claim.take > claim.of && claim.mode === 'permits') throw impossible(claim);
    const { hints, clock } = this.opened;
    const sentAtMs = clock.now();
    const reply = await this.opened.run('claim', claim.key, claimScript, 2, [
      lockName(claim.key),
      fenceName(claim.key),
      claim.owner,
      String(claim.ttlMs),
      kindOf(claim),
      hints.channel,
      claim.queue ? '1' : '',
    ]);
    if (Array.isArray(reply)) return readBusy(reply as string[]);
    const fence = BigInt(reply as string | number);
    if (fence === 0n) throw abandoned(claim);
    return { claim, fence, sentAtMs };
  }

  /** @internal */
  listen(claim: Claim, wake: () => void): void {
    if (claim.queue) this.connection?.hints.listen(claim.owner, wake);
  }

  /** @internal */
  forget(claim: Claim): void {
    this.connection?.hints.forget(claim.owner);
  }

  private async renewBatch(grants: readonly Grant[]): Promise<RenewOutcome[]> {
    const names = grants.map(({ claim }) => lockName(claim.key));
    const leases = grants.flatMap(({ claim }) => [claim.owner, String(claim.ttlMs)]);
    const what = grants[0]?.claim.key ?? '';
    const reply = await this.opened.run('renew', what, renewScript, names.length, [...names, ...leases]);
    return Array.from(String(reply), (digit) => (digit === '1' ? 'renewed' : 'gone'));
  }

  private get opened(): RedisConnection {
    if (this.connection) return this.connection;
    throw new BackendError(
      'The Redis backend is not running: start it before use, and stop it after.',
      'denied',
    );
  }
}

/** What the scripts take for mode, take and of. */
function kindOf({ mode, take, of }: Claim): string {
  if (mode === 'exclusive') return 'e';
  return mode === 'shared' ? 's' : `p,${take},${of}`;
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
