import assert from 'node:assert/strict';
import { freeClusterPort, RedisServer } from './redis-server.js';
import { stopReplication } from './replication.js';
import { until } from './until.js';

const NODE_TIMEOUT_MS = 1_000;
const SLOTS = 16_384;
const PRIMARIES = 3;
const SETTLE_LIMIT_MS = 30_000;
const PAUSE_MS = 50;

/** Replicas take over however old their data is: what was lost is the business of the test. */
const CLUSTER_NODE = [
  ['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf'],
  ['--cluster-node-timeout', String(NODE_TIMEOUT_MS), '--cluster-replica-validity-factor', '0'],
  ['--cluster-allow-replica-migration', 'no'],
  ['--repl-diskless-sync', 'no', '--repl-timeout', '5', '--repl-ping-replica-period', '1'],
].flat();

/** One line of `CLUSTER NODES`. */
interface Member {
  readonly id: string;
  readonly port: number;
  readonly flags: readonly string[];
  /** The id of the primary that it follows. */
  readonly follows: string;
  readonly connected: boolean;
  readonly slots: readonly string[];
}

/** Three primaries with a replica each, all of them real servers that can be killed, frozen and restarted by themselves. */
export class RedisClusterWorld implements AsyncDisposable {
  private constructor(
    /** The primaries of the beginning come first. */
    readonly servers: readonly RedisServer[],
  ) {}

  /** @param settings of all nodes, as on the command line of redis-server */
  static async start(...settings: string[]): Promise<RedisClusterWorld> {
    const launch = async (): Promise<RedisServer> =>
      RedisServer.launch({ port: await freeClusterPort(), settings: [...CLUSTER_NODE, ...settings] });
    const world = new RedisClusterWorld(await Promise.all([0, 1, 2, 3, 4, 5].map(launch)));
    try {
      await world.form();
      await world.settle();
      return world;
    } catch (error) {
      await world.stop();
      throw error;
    }
  }

  /** For the first argument of a Cluster client of ioredis. */
  get nodes(): { host: string; port: number }[] {
    return this.servers.map(({ port }) => ({ host: '127.0.0.1', port }));
  }

  async slotOf(key: string): Promise<number> {
    const server = this.servers.find(({ alive }) => alive);
    assert(server, 'a node is alive');
    return Number(await server.call('CLUSTER', 'KEYSLOT', key));
  }

  /** Who serves the slot, or the slot of the key, as most nodes see it. */
  async primaryOf(slotOrKey: number | string): Promise<RedisServer> {
    const slot = typeof slotOrKey === 'number' ? slotOrKey : await this.slotOf(slotOrKey);
    let found: RedisServer | undefined;
    const agreed = async (): Promise<boolean> => {
      found = await this.ownerOf(slot);
      return found !== undefined;
    };
    await until(agreed, `the nodes agree on who serves slot ${slot}`, SETTLE_LIMIT_MS, PAUSE_MS);
    assert(found);
    return found;
  }

  async primaries(): Promise<RedisServer[]> {
    const facts = await Promise.all(this.servers.map((server) => factsOf(server)));
    return this.servers.filter((_, at) => facts[at]?.get('role') === 'master');
  }

  async replicaOf(primary: RedisServer): Promise<RedisServer> {
    const facts = await Promise.all(this.servers.map((server) => factsOf(server)));
    const replica = this.servers.find(
      (_, at) => facts[at]?.get('role') === 'slave' && facts[at].get('master_port') === String(primary.port),
    );
    assert(replica, `${primary.address} has a replica`);
    return replica;
  }

  /** Swaps a primary with its replica; nothing is lost. */
  async failOver(primary: RedisServer): Promise<RedisServer> {
    const replica = await this.replicaOf(primary);
    const insist = async (): Promise<boolean> => {
      await replica.call('CLUSTER', 'FAILOVER').catch(() => undefined);
      return (await factsOf(replica))?.get('role') === 'master';
    };
    await until(insist, 'the replica becomes primary', SETTLE_LIMIT_MS, 500);
    return replica;
  }

  /**
   * Stops the replication, lets `meanwhile` make changes that only the primary knows, and kills it. Resolves with the
   * new primary, on which these changes are missing, when it serves.
   */
  async losingFailOver(
    primary: RedisServer,
    meanwhile: () => Promise<unknown> = async () => undefined,
  ): Promise<RedisServer> {
    const replica = await this.replicaOf(primary);
    await stopReplication(primary);
    await meanwhile();
    await primary.kill();
    return this.inOffice(replica);
  }

  /** Resolves when this replica has taken over by itself and serves. */
  async inOffice(replica: RedisServer): Promise<RedisServer> {
    const serves = async (): Promise<boolean> => {
      if ((await factsOf(replica))?.get('role') !== 'master') return false;
      return String(await replica.call('CLUSTER', 'INFO')).includes('cluster_state:ok');
    };
    await until(serves, 'the replica takes over', SETTLE_LIMIT_MS, PAUSE_MS);
    return replica;
  }

  /** A slot on its way to another primary; until it is moved, requests for it meet ASK and TRYAGAIN. */
  async beginMove(slot: number, to: RedisServer): Promise<SlotMove> {
    const from = await this.primaryOf(slot);
    assert(from !== to, `slot ${slot} is elsewhere`);
    const [fromId, toId] = await Promise.all([idOf(from), idOf(to)]);
    await to.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId);
    await from.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId);
    return new SlotMove(this, slot, from, to);
  }

  async moveSlot(slot: number, to: RedisServer): Promise<void> {
    const move = await this.beginMove(slot, to);
    await move.moveKeys();
    await move.finish();
  }

  /** Thaws and restarts whatever is not running, and waits until all are in their places again. */
  async heal(): Promise<void> {
    for (const node of this.servers) if (node.alive) node.thaw();
    await Promise.all(this.servers.filter(({ alive }) => !alive).map((node) => node.restart()));
    await this.settle();
  }

  /** Resolves when every node finds the cluster well and sees the same owner for each slot. */
  async settle(): Promise<void> {
    await until(() => this.isSettled(), 'all nodes agree that all is well', SETTLE_LIMIT_MS, PAUSE_MS);
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  private async form(): Promise<void> {
    const { servers } = this;
    const primaries = servers.slice(0, PRIMARIES);
    await Promise.all(servers.map((server, at) => server.call('CLUSTER', 'SET-CONFIG-EPOCH', at + 1)));
    const firstSlot = (at: number): number => Math.floor((SLOTS * at) / PRIMARIES);
    for (const [at, primary] of primaries.entries()) {
      const slots = Array.from(
        { length: firstSlot(at + 1) - firstSlot(at) },
        (_, nth) => firstSlot(at) + nth,
      );
      await primary.call('CLUSTER', 'ADDSLOTS', ...slots);
    }
    for (const server of servers)
      for (const other of servers)
        if (other.port < server.port) await server.call('CLUSTER', 'MEET', '127.0.0.1', other.port);
    const ids = await Promise.all(primaries.map(idOf));
    await Promise.all(
      servers.slice(PRIMARIES).map(async (replica, at) => {
        const follow = (): Promise<boolean> =>
          replica.call('CLUSTER', 'REPLICATE', ids[at] ?? '').then(
            () => true,
            () => false,
          );
        await until(follow, 'a replica knows its primary', SETTLE_LIMIT_MS, PAUSE_MS);
      }),
    );
  }

  private async ownerOf(slot: number): Promise<RedisServer | undefined> {
    const views = await Promise.all(this.servers.map((server) => membersSeenBy(server).catch(() => [])));
    const owners = views.map((members) => members.find((member) => serves(member, slot))?.port);
    return this.servers.find(
      ({ port }) => owners.filter((owner) => owner === port).length > this.servers.length / 2,
    );
  }

  private async isSettled(): Promise<boolean> {
    try {
      const views = await Promise.all(this.servers.map(membersSeenBy));
      const opinions = new Set(views.map(opinionOf));
      const states = await Promise.all(this.servers.map((server) => server.call('CLUSTER', 'INFO')));
      const facts = await Promise.all(this.servers.map((server) => server.info('replication')));
      return (
        opinions.size === 1 &&
        !opinions.has(undefined) &&
        states.every((state) => String(state).includes('cluster_state:ok')) &&
        facts.every(isInStep)
      );
    } catch {
      return false;
    }
  }
}

/** See {@link RedisClusterWorld.beginMove}. */
export class SlotMove {
  constructor(
    private readonly world: RedisClusterWorld,
    private readonly slot: number,
    private readonly from: RedisServer,
    private readonly to: RedisServer,
  ) {}

  /** @param names default: all keys of the slot; some of them make a request that needs both halves meet TRYAGAIN */
  async moveKeys(names?: readonly string[]): Promise<void> {
    const moved =
      names ?? ((await this.from.call('CLUSTER', 'GETKEYSINSLOT', this.slot, 100_000)) as string[]);
    if (moved.length > 0)
      await this.from.call('MIGRATE', '127.0.0.1', this.to.port, '', 0, 1000, 'KEYS', ...moved);
  }

  async finish(): Promise<void> {
    await this.hand(this.to);
  }

  /** Leaves the slot where it was; keys that were moved must have been moved back. */
  async giveUp(): Promise<void> {
    await this.hand(this.from);
  }

  private async hand(owner: RedisServer): Promise<void> {
    const id = await idOf(owner);
    const rest = (await this.world.primaries()).filter(
      (server) => server !== this.to && server !== this.from,
    );
    for (const server of [this.to, this.from, ...rest])
      await server.call('CLUSTER', 'SETSLOT', this.slot, 'NODE', id);
  }
}

async function idOf(server: RedisServer): Promise<string> {
  return String(await server.call('CLUSTER', 'MYID'));
}

async function factsOf(server: RedisServer): Promise<ReadonlyMap<string, string> | undefined> {
  return server.alive ? server.info('replication').catch(() => undefined) : undefined;
}

function isInStep(facts: ReadonlyMap<string, string>): boolean {
  return facts.get('role') === 'master'
    ? facts.get('slave0')?.includes('state=online') === true
    : facts.get('master_link_status') === 'up';
}

async function membersSeenBy(server: RedisServer): Promise<Member[]> {
  if (!server.alive) throw new Error(`${server.address} is dead`);
  const lines = String(await server.call('CLUSTER', 'NODES'))
    .trim()
    .split('\n');
  return lines.map((line) => {
    const [id = '', address = '', flags = '', follows = '', , , , link = '', ...slots] = line.split(' ');
    return {
      id,
      port: Number(/:(\d+)@/.exec(address)?.[1]),
      flags: flags.split(',').filter((flag) => flag !== 'myself'),
      follows,
      connected: link === 'connected',
      slots,
    };
  });
}

function serves({ flags, slots }: Member, slot: number): boolean {
  if (!flags.includes('master') || flags.includes('fail')) return false;
  return slots.some((range) => {
    const [first = NaN, last = first] = range.split('-').map(Number);
    return slot >= first && slot <= last;
  });
}

/** The same for all who see the same; undefined when not all is well. */
function opinionOf(members: readonly Member[]): string | undefined {
  const isWell = members.every(({ flags, connected }) => connected && flags.length === 1);
  if (members.length !== 2 * PRIMARIES || !isWell) return undefined;
  const lines = members.map(({ id, flags, follows, slots }) => [id, flags, follows, slots].join(' '));
  return lines.sort().join('\n');
}
