import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { ClockShim } from '../../support/clock-shim.js';
import { RedisClusterWorld } from '../../support/redis-cluster.js';
import { RedisSentinelWorld } from '../../support/redis-sentinel.js';
import { RedisServer } from '../../support/redis-server.js';
import { PREFIX } from './company.js';
import type { Letter } from './fault-table.js';
import { RedisRoad } from './redis-road.js';
import type { Road } from './road.js';
import type { Denial, Servers, World } from './world.js';

/** What was acknowledged is on the disk. */
const SETTINGS = [
  ['--appendonly', 'yes', '--appendfsync', 'always'],
  ['--enable-debug-command', 'local', '--enable-protected-configs', 'yes'],
  ['--loading-process-events-interval-bytes', '1024'],
].flat();
const FILLERS = 500;
/** What the error says of a connection that was there a moment ago. */
const DISCONNECTED = 'cannot be reached|not answer|no connection|retries per request|isn.t writeable';

/** What one redis-server, or several together, can be made to suffer. */
abstract class RedisWorld implements World, Servers {
  abstract readonly letter: Letter;
  abstract readonly connections: number;
  readonly kind = 'redis';
  readonly isOneProcess = false;
  readonly idleTimers = 0;
  readonly isPolled = false;
  readonly servers = this;

  abstract road(): Promise<Road>;
  /** All that run. */
  abstract get nodes(): readonly RedisServer[];
  abstract primaries(): Promise<readonly RedisServer[]>;
  abstract primaryOf(key: string): Promise<RedisServer>;
  abstract heal(): Promise<void>;
  abstract stop(): Promise<void>;

  pids(): readonly number[] {
    return this.nodes.map(({ processId }) => processId);
  }

  async leftovers(stem: string): Promise<string[]> {
    const names = await this.onPrimaries(async (server) => (await server.call('KEYS', '*')) as string[]);
    return names.flat().filter((name) => name.includes(stem) && !/:fence$|:gone:/.test(name));
  }

  async freeze(): Promise<void> {
    for (const server of await this.primaries()) server.freeze();
  }

  async thaw(): Promise<void> {
    for (const node of this.nodes) node.thaw();
  }

  async crash(key: string, downMs: number): Promise<void> {
    const server = await this.primaryOf(key);
    await server.kill();
    await sleep(downMs);
    await server.restart();
  }

  async wipe(key: string, nth: number): Promise<void> {
    if (nth % 2 === 0) await this.onPrimaries((server) => server.call('FLUSHALL'));
    else await (await this.primaryOf(key)).call('DEL', `{${PREFIX}:${key}}`);
  }

  async disconnectAll(): Promise<void> {
    await this.onPrimaries((server) => server.call('CLIENT', 'KILL', 'TYPE', 'normal'));
    await this.onPrimaries((server) => server.call('CLIENT', 'KILL', 'TYPE', 'pubsub'));
  }

  async keepBusy(key: string, ms: number, nth: number): Promise<void> {
    const ways = this.busyWays(ms);
    const way = ways[nth % ways.length] ?? [];
    const server = await this.primaryOf(key);
    const answer = server.call(way[0] ?? '', ...way.slice(1)).catch(() => undefined);
    await Promise.all([answer, sleep(ms)]);
  }

  /** Commands by which it answers nobody for so long. */
  protected busyWays(ms: number): string[][] {
    return [['CLIENT', 'PAUSE', String(Math.round(ms)), 'WRITE']];
  }

  get denials(): readonly Denial[] {
    return [
      this.setting('OOM', /\(OOM/, 'maxmemory', '1', '0', true),
      this.setting('NOREPLICAS', /\(NOREPLICAS/, 'min-replicas-to-write', '9', '0'),
      this.permission(),
      {
        name: 'SCRIPT FLUSH',
        begin: () => this.toAll('SCRIPT', 'FLUSH'),
        end: async () => undefined,
      },
    ];
  }

  async requests(): Promise<number> {
    const counts = await this.onPrimaries(async (server) => {
      const stats = (await server.info('commandstats')).get('cmdstat_evalsha') ?? '';
      return Number(/calls=(\d+)/.exec(stats)?.[1] ?? 0);
    });
    return counts.reduce((sum, count) => sum + count, 0);
  }

  protected async onPrimaries<T>(step: (server: RedisServer) => Promise<T>): Promise<T[]> {
    return Promise.all((await this.primaries()).map(step));
  }

  protected async toAll(command: string, ...given: string[]): Promise<void> {
    await this.onPrimaries((server) => server.call(command, ...given));
  }

  private setting(
    name: string,
    error: RegExp,
    setting: string,
    bad: string,
    good: string,
    releases = false,
  ): Denial {
    return {
      name,
      error,
      releases,
      begin: () => this.toAll('CONFIG', 'SET', setting, bad),
      end: () => this.toAll('CONFIG', 'SET', setting, good),
    };
  }

  private permission(): Denial {
    return {
      name: 'NOPERM',
      error: /\(NOPERM/,
      begin: () => this.toAll('ACL', 'SETUSER', 'default', '-evalsha'),
      end: () => this.toAll('ACL', 'SETUSER', 'default', '+evalsha'),
    };
  }
}

/** One server. */
export class SingleRedisWorld extends RedisWorld {
  readonly letter = 'R';
  readonly connections = 2;

  private constructor(
    private readonly server: RedisServer,
    private readonly clock: ClockShim,
    /** Can go on where nobody else may connect. */
    private readonly insider: Redis,
  ) {
    super();
  }

  static async start(): Promise<SingleRedisWorld> {
    const clock = await ClockShim.compile();
    const server = await RedisServer.launch({ settings: SETTINGS, environment: clock.environment });
    const insider = new Redis({ port: server.port, retryStrategy: () => 20, maxRetriesPerRequest: null });
    insider.on('error', () => undefined);
    return new SingleRedisWorld(server, clock, insider);
  }

  get nodes(): readonly RedisServer[] {
    return [this.server];
  }

  async primaries(): Promise<readonly RedisServer[]> {
    return this.nodes;
  }

  async primaryOf(): Promise<RedisServer> {
    return this.server;
  }

  road(): Promise<Road> {
    const { port } = this.server;
    return RedisRoad.to([port], (portOf) => ({ target: { host: '127.0.0.1', port: portOf(port) } }));
  }

  messagesApart(): Promise<Road> {
    const { port } = this.server;
    return RedisRoad.to([port], (portOf) => ({
      target: { host: '127.0.0.1', port: portOf(port), protocol: 2 },
    }));
  }

  protected override busyWays(ms: number): string[][] {
    return [
      ['DEBUG', 'SLEEP', String(ms / 1_000)],
      ['CLIENT', 'PAUSE', String(Math.round(ms)), 'ALL'],
      [
        'EVAL',
        `local t = redis.call('TIME'); local e = t[1] * 1000 + t[2] / 1000 + ${Math.round(ms)}; repeat t = redis.call('TIME') until t[1] * 1000 + t[2] / 1000 > e`,
        '0',
      ],
      ...super.busyWays(ms),
    ];
  }

  override get denials(): readonly Denial[] {
    const { insider } = this;
    // with RESP3 a connection that listens as well is of the second type
    const throwOut = (): Promise<unknown> =>
      Promise.all(['normal', 'pubsub'].map((type) => insider.call('CLIENT', 'KILL', 'TYPE', type)));
    return [
      ...super.denials,
      {
        name: 'READONLY',
        error: /\(READONLY/,
        begin: () => this.toAll('REPLICAOF', '127.0.0.1', '1'),
        end: () => this.toAll('REPLICAOF', 'NO', 'ONE'),
      },
      {
        name: 'LOADING',
        error: new RegExp(`\\(LOADING|${DISCONNECTED}`),
        begin: async () => {
          await insider.call('DEBUG', 'POPULATE', FILLERS);
          await insider.call('CONFIG', 'SET', 'key-load-delay', '1000');
          insider.call('DEBUG', 'RELOAD').catch(() => undefined);
          await sleep(50);
        },
        end: async () => {
          while (
            await insider.call('PING').then(
              () => false,
              () => true,
            )
          )
            await sleep(20);
          await insider.call('CONFIG', 'SET', 'key-load-delay', '0');
        },
      },
      {
        name: 'WRONGPASS',
        error: new RegExp(`NOAUTH|WRONGPASS|password|${DISCONNECTED}`),
        begin: async () => {
          await insider.call('ACL', 'SETUSER', 'default', 'resetpass', '>secret');
          await throwOut();
        },
        end: async () => void (await insider.call('ACL', 'SETUSER', 'default', 'nopass')),
      },
      {
        name: 'connection limit',
        error: new RegExp(`as many connections|${DISCONNECTED}`),
        begin: async () => {
          await insider.call('CONFIG', 'SET', 'maxclients', '1');
          await throwOut();
        },
        end: async () => void (await insider.call('CONFIG', 'SET', 'maxclients', '10000')),
      },
    ];
  }

  leap(ms: number): Promise<void> {
    return this.clock.shift(ms);
  }

  async evict(ready: () => Promise<void>): Promise<void> {
    await this.toAll('CONFIG', 'SET', 'maxmemory', '1gb');
    await this.toAll('CONFIG', 'SET', 'maxmemory-policy', 'volatile-lru');
    try {
      await ready();
      await this.toAll('CONFIG', 'SET', 'maxmemory', '1');
    } finally {
      await this.toAll('CONFIG', 'SET', 'maxmemory', '0');
      await this.toAll('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    }
  }

  async heal(): Promise<void> {
    this.server.thaw();
    if (!this.server.alive) await this.server.restart();
    await this.clock.shift(0);
  }

  async stop(): Promise<void> {
    this.insider.disconnect();
    await this.server.stop();
    await this.clock[Symbol.asyncDispose]();
  }
}

/** The primary that Sentinels name; the service called `careful` waits for a replica. */
export class SentinelWorld extends RedisWorld {
  readonly letter = 'S';
  /** Of two services, each to the primary and to a Sentinel or two. */
  readonly connections = 8;

  private constructor(private readonly world: RedisSentinelWorld) {
    super();
  }

  static async start(): Promise<SentinelWorld> {
    return new SentinelWorld(await RedisSentinelWorld.start(...SETTINGS));
  }

  get nodes(): readonly RedisServer[] {
    return this.world.nodes;
  }

  async primaries(): Promise<readonly RedisServer[]> {
    return [await this.world.primary()];
  }

  primaryOf(): Promise<RedisServer> {
    return this.world.primary();
  }

  road(): Promise<Road> {
    const { nodes, guards, name } = this.world;
    return RedisRoad.to(
      nodes.map(({ port }) => port),
      (portOf) => {
        const sentinels = guards.map(({ port }) => ({ host: '127.0.0.1', port: portOf(port) }));
        const natMap = natMapOf(nodes, portOf);
        const target = { sentinels, name, natMap };
        return { target, careful: { ...target, replicas: 1, replicaTimeout: 200 } };
      },
    );
  }

  /** Losing a write, or clean. */
  async failOver(_key: string, nth: number): Promise<void> {
    if (nth % 3 === 1) await this.world.failOver();
    else await this.world.losingFailOver();
  }

  heal(): Promise<void> {
    return this.world.heal();
  }

  stop(): Promise<void> {
    return this.world.stop();
  }
}

/** Three primaries with a replica each. */
export class ClusterWorld extends RedisWorld {
  readonly letter = 'C';
  readonly connections = 7;

  private constructor(private readonly world: RedisClusterWorld) {
    super();
  }

  static async start(): Promise<ClusterWorld> {
    return new ClusterWorld(await RedisClusterWorld.start(...SETTINGS));
  }

  get nodes(): readonly RedisServer[] {
    return this.world.servers;
  }

  primaries(): Promise<readonly RedisServer[]> {
    return this.world.primaries();
  }

  primaryOf(key: string): Promise<RedisServer> {
    return this.world.primaryOf(`${PREFIX}:${key}`);
  }

  road(): Promise<Road> {
    return this.roadWith({});
  }

  messagesApart(): Promise<Road> {
    return this.roadWith({ protocol: 2 });
  }

  private roadWith(redisOptions: object): Promise<Road> {
    const { servers } = this.world;
    return RedisRoad.to(
      servers.map(({ port }) => port),
      (portOf) => {
        const cluster = servers.map(({ port }) => ({ host: '127.0.0.1', port: portOf(port) }));
        return { target: { cluster, natMap: natMapOf(servers, portOf), redisOptions } };
      },
    );
  }

  /** A primary that starts takes no writes for two seconds, and passes no messages on before it has found the others. */
  override async crash(key: string, downMs: number): Promise<void> {
    await super.crash(key, downMs);
    await this.world.settle();
  }

  /** A replica is made primary, the slot is moved, or another part of the cluster is down for a while. */
  async failOver(key: string, nth: number): Promise<void> {
    const { world } = this;
    const primary = await this.primaryOf(key);
    if (nth % 3 === 0) return void (await world.failOver(primary));
    const others = (await world.primaries()).filter((server) => server !== primary);
    const [other] = others;
    if (!other) throw new Error('there is only one primary');
    if (nth % 3 === 1) {
      const move = await world.beginMove(await world.slotOf(`${PREFIX}:${key}`), other);
      await sleep(200);
      await move.moveKeys();
      return move.finish();
    }
    const lost = [other, await world.replicaOf(other)];
    for (const server of lost) server.freeze();
    await sleep(2_000);
    for (const server of lost) server.thaw();
  }

  heal(): Promise<void> {
    return this.world.heal();
  }

  stop(): Promise<void> {
    return this.world.stop();
  }
}

function natMapOf(
  servers: readonly RedisServer[],
  portOf: (port: number) => number,
): Record<string, { host: string; port: number }> {
  const entries = servers.map(
    ({ port, address }) => [address, { host: '127.0.0.1', port: portOf(port) }] as const,
  );
  return Object.fromEntries(entries);
}
