import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { RedisServer } from './redis-server.js';
import { stopReplication } from './replication.js';
import { until } from './until.js';

const DOWN_AFTER_MS = 500;
/** An election that was lost is tried again after twice that; the promoted replica has so long to say that it is primary. */
const FAILOVER_TIMEOUT_MS = 2_000;
const SETTLE_LIMIT_MS = 30_000;
const PAUSE_MS = 50;

/** Streams to a new replica as soon as that is called online, and lets go of a peer that is silent. */
const DATA_NODE = ['--repl-diskless-sync', 'no', '--repl-timeout', '5', '--repl-ping-replica-period', '1'];

/**
 * One primary, two replicas, and three Sentinels of which two must agree. Each of the six is a real server that can
 * be killed, frozen, thawed and restarted by itself.
 */
export class RedisSentinelWorld implements AsyncDisposable {
  /** What the Sentinels call the primary. */
  readonly name = 'locks';

  private constructor(
    /** The primary of the beginning is the first. */
    readonly servers: readonly RedisServer[],
    readonly guards: readonly RedisServer[],
  ) {}

  /** @param settings of the data nodes, as on the command line of redis-server */
  static async start(...settings: string[]): Promise<RedisSentinelWorld> {
    const servers = await Promise.all(
      [0, 1, 2].map(() => RedisServer.launch({ settings: [...DATA_NODE, ...settings] })),
    );
    const guards: RedisServer[] = [];
    const world = new RedisSentinelWorld(servers, guards);
    try {
      await world.replicate();
      guards.push(...(await Promise.all([0, 1, 2].map(() => RedisServer.launch(world.guardPlan())))));
      await Promise.all(guards.map(hurry));
      await world.settle();
      return world;
    } catch (error) {
      await world.stop();
      throw error;
    }
  }

  /** For the option of the same name of ioredis. */
  get sentinels(): { host: string; port: number }[] {
    return this.guards.map(({ port }) => ({ host: '127.0.0.1', port }));
  }

  get nodes(): readonly RedisServer[] {
    return [...this.servers, ...this.guards];
  }

  /** The one that two Sentinels or more call the primary; waits for them to agree. */
  async primary(): Promise<RedisServer> {
    let found: RedisServer | undefined;
    const agreed = async (): Promise<boolean> => {
      found = await this.elected();
      return found !== undefined;
    };
    await until(agreed, 'the Sentinels agree on a primary', SETTLE_LIMIT_MS, PAUSE_MS);
    assert(found);
    return found;
  }

  async replicas(): Promise<RedisServer[]> {
    const primary = await this.primary();
    return this.servers.filter((server) => server !== primary);
  }

  /** Makes a replica the primary while all are well. The old one takes writes until it is told. */
  async failOver(): Promise<RedisServer> {
    const before = await this.primary();
    const [guard] = this.guards.filter(({ alive }) => alive);
    assert(guard, 'a Sentinel is alive');
    // one that is under way, or was given up, is told by an error, or not at all
    const insist = async (): Promise<boolean> => {
      await guard.call('SENTINEL', 'FAILOVER', this.name).catch(() => undefined);
      return (await this.elected()) !== before;
    };
    await until(insist, 'the fail-over begins', SETTLE_LIMIT_MS, PAUSE_MS);
    return this.successorOf(before);
  }

  /**
   * Stops the replication, lets `meanwhile` make changes that only the primary knows, and kills it. Resolves with the
   * new primary, on which these changes are missing.
   */
  async losingFailOver(meanwhile: () => Promise<unknown> = async () => undefined): Promise<RedisServer> {
    const before = await this.primary();
    await stopReplication(before);
    await meanwhile();
    await before.kill();
    return this.successorOf(before);
  }

  /** Resolves with the one that took over from `before`, when it takes writes. */
  async successorOf(before: RedisServer): Promise<RedisServer> {
    let successor = before;
    const inOffice = async (): Promise<boolean> => {
      successor = (await this.elected()) ?? before;
      return successor !== before && (await roleOf(successor)) === 'master';
    };
    await until(inOffice, 'a replica becomes primary', SETTLE_LIMIT_MS, PAUSE_MS);
    return successor;
  }

  /** Thaws and restarts whatever is not running, and waits until all are in their places again. */
  async heal(): Promise<void> {
    for (const node of this.nodes) if (node.alive) node.thaw();
    await Promise.all(this.nodes.filter(({ alive }) => !alive).map((node) => node.restart()));
    await this.settle();
  }

  /** Resolves when both replicas follow the primary, and no Sentinel is worried or busy. */
  async settle(): Promise<void> {
    await until(
      () => this.isSettled(),
      'the replicas follow, and the Sentinels agree',
      SETTLE_LIMIT_MS,
      PAUSE_MS,
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  private async replicate(): Promise<void> {
    const [primary, ...replicas] = this.servers;
    assert(primary);
    for (const replica of replicas) {
      await replica.call('REPLICAOF', '127.0.0.1', primary.port);
      await replica.call('CONFIG', 'REWRITE');
    }
  }

  private guardPlan(): { settings: string[]; file: string[] } {
    const { name } = this;
    const [primary] = this.servers;
    assert(primary);
    return {
      settings: ['--sentinel'],
      file: [
        `sentinel myid ${randomBytes(20).toString('hex')}`,
        `sentinel monitor ${name} 127.0.0.1 ${primary.port} 2`,
        `sentinel down-after-milliseconds ${name} ${DOWN_AFTER_MS}`,
        `sentinel failover-timeout ${name} ${FAILOVER_TIMEOUT_MS}`,
        `sentinel parallel-syncs ${name} 2`,
      ],
    };
  }

  private async elected(): Promise<RedisServer | undefined> {
    const votes = await Promise.all(
      this.guards.map((guard) =>
        guard.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.name).catch(() => null),
      ),
    );
    const ports = votes.map((vote) => Number(Array.isArray(vote) ? vote[1] : NaN));
    return this.servers.find(({ port }) => ports.filter((candidate) => candidate === port).length >= 2);
  }

  private async isSettled(): Promise<boolean> {
    try {
      const primary = await this.elected();
      if (!primary) return false;
      const standing = await Promise.all(
        this.servers.map((server) => (server === primary ? leads(server) : follows(server, primary))),
      );
      if (standing.includes(false)) return false;
      return (await Promise.all(this.guards.map((guard) => this.isCalm(guard, primary)))).every(Boolean);
    } catch {
      return false;
    }
  }

  /** It knows all the others, finds them well, and is not in the middle of a fail-over. */
  private async isCalm(guard: RedisServer, primary: RedisServer): Promise<boolean> {
    const summary = (await guard.info('sentinel')).get('master0');
    if (summary !== `name=${this.name},status=ok,address=${primary.address},slaves=2,sentinels=3`)
      return false;
    const [own, replicas, others] = await Promise.all(
      ['MASTER', 'REPLICAS', 'SENTINELS'].map(async (what) =>
        JSON.stringify(await guard.call('SENTINEL', what, this.name)),
      ),
    );
    if (/s_down|disconnected|failover_in_progress/.test(`${own}${replicas}${others}`)) return false;
    // one that was just told to be a replica would be told once more, in the middle of the next fail-over
    return !/"role-reported"[,:]"master"/.test(`${replicas}`);
  }
}

/** From 7.0 on, a Sentinel looks around and puts a returned primary in its place sooner than in ten seconds. */
async function hurry(guard: RedisServer): Promise<void> {
  const periods = ['INFO-PERIOD', '500', 'PUBLISH-PERIOD', '500', 'PING-PERIOD', '200', 'ASK-PERIOD', '200'];
  await guard.call('SENTINEL', 'DEBUG', ...periods).catch(() => undefined);
}

async function roleOf(server: RedisServer): Promise<string | undefined> {
  return (await server.info('replication').catch(() => undefined))?.get('role');
}

async function leads(server: RedisServer): Promise<boolean> {
  const facts = await server.info('replication');
  const inStep = ['slave0', 'slave1'].every((slave) => facts.get(slave)?.includes('state=online'));
  return facts.get('role') === 'master' && inStep;
}

async function follows(server: RedisServer, primary: RedisServer): Promise<boolean> {
  const facts = await server.info('replication');
  return facts.get('master_port') === String(primary.port) && facts.get('master_link_status') === 'up';
}
