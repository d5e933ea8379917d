import { BackendError } from '../backend-error.js';
import type { Claim, Grant, RenewOutcome } from '../lock-backend.js';
import { lockName } from './key-names.js';
import { keyPrefixOf, type RedisNode } from './redis-client.js';
import type { RedisConnection } from './redis-connection.js';
import type { ResolvedLockSettings } from './redis-settings.js';
import { ReplicaAcks, type Confirmation } from './replica-acks.js';

/** Sees to it that what a step wrote is on enough replicas before it counts. */
export class Replication {
  private readonly acks: ReplicaAcks;

  constructor(
    private readonly connection: RedisConnection,
    private readonly settings: ResolvedLockSettings,
  ) {
    this.acks = new ReplicaAcks(settings.replicas);
  }

  /** To be asked right before a step on this lock is sent. */
  of(key: string): ReplicatedStep {
    return new ReplicatedStep(this.connection, this.acks, this.settings.replicaTimeoutMs, key);
  }
}

/** One step, the connection that it goes over, and the socket that this has now. */
export class ReplicatedStep {
  private readonly node: RedisNode | undefined;
  private readonly stream: unknown;

  constructor(
    private readonly connection: RedisConnection,
    private readonly acks: ReplicaAcks,
    private readonly timeoutMs: number,
    key: string,
  ) {
    this.node = connection.servers.nodeOf(key);
    this.stream = this.node?.stream;
  }

  /** @throws BackendError `unknown` when too few replicas have the grant */
  async confirmGrant({ claim }: Grant): Promise<void> {
    await this.acks.confirm(this.confirmation(`granted ${claim.key}`, claim));
  }

  /**
   * What is certain of a renewal. One that too few replicas have is not: a fail-over would shorten the lease again.
   *
   * @param what "lock:a", or "7 locks"
   */
  async confirmRenewal(
    what: string,
    grants: readonly Grant[],
    outcomes: RenewOutcome[],
  ): Promise<RenewOutcome[]> {
    const renewed = grants[outcomes.indexOf('renewed')];
    if (!renewed) return outcomes;
    try {
      await this.acks.confirm(this.confirmation(`renewed ${what}`, renewed.claim));
      return outcomes;
    } catch {
      return outcomes.map((outcome) => (outcome === 'gone' ? 'gone' : 'unknown'));
    }
  }

  private confirmation(what: string, claim: Claim): Confirmation {
    const { node, stream } = this;
    const { client, servers } = this.connection;
    if (!node) {
      throw new BackendError(
        `Redis at ${servers.address} ${what}, but by which of its servers is not known, so it does not count.`,
        'unknown',
      );
    }
    const limitMs = Math.max(1, Math.floor(Math.min(this.timeoutMs, claim.ttlMs / 5)));
    if (!servers.redirects) return { what, node, stream, limitMs };
    const name = keyPrefixOf(client) + lockName(claim.key);
    return { what, node, stream, limitMs, isHere: () => isHolder(node, name, claim) };
  }
}

/** Whether that server has the lock of this owner. */
async function isHolder(node: RedisNode, name: string, { mode, owner }: Claim): Promise<boolean> {
  if (mode === 'exclusive') return String(await node.call('GET', name)).startsWith(`${owner}|`);
  return Number(await node.call('HEXISTS', `${name}:group`, owner)) === 1;
}
