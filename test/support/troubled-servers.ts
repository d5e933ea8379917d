import { memory, type LockBackend } from 'nestjs-interlock';
import { mysql } from 'nestjs-interlock/mysql';
import { postgres } from 'nestjs-interlock/postgres';
import { redis } from 'nestjs-interlock/redis';
import { MariadbServer } from './mariadb-server.js';
import { PostgresServer } from './postgres-server.js';
import { RedisClusterWorld } from './redis-cluster.js';
import { RedisSentinelWorld } from './redis-sentinel.js';
import { RedisServer } from './redis-server.js';
import { until } from './until.js';

/** What may be the matter with the servers of the locks. */
export const TROUBLES = [
  'nothing is wrong',
  'a server that the locks can do without is frozen',
  'a server that the locks need is frozen',
  'most of the servers are dead',
  'the password is not right any more',
  'the data is being loaded',
  'the server takes no writes',
] as const;

export type Trouble = (typeof TROUBLES)[number];

/** One trouble, and what the health of the locks is in it. */
export interface Scene {
  readonly is: 'up' | 'degraded' | 'down';
  readonly says?: RegExp;
  /** Default: both. */
  readonly probes?: readonly ('ping' | 'lock')[];
  begin(): Promise<unknown>;
  /** All is well some time after that. */
  end(): Promise<unknown>;
}

/** A sentence that says why there can be no such trouble. */
type Impossible = string;

/** Real servers, and all the troubles that they can be in. */
export interface TroubledServers {
  readonly title: string;
  open(): Promise<unknown>;
  backend(): LockBackend;
  readonly scenes: Readonly<Record<Trouble, Scene | Impossible>>;
  close(): Promise<void>;
}

export const SECRET = 'pa55w0rd';
const USER = { username: 'shop', password: SECRET };
const REDIS_SETTINGS = ['--enable-debug-command', 'yes'];
/** What the server says to the user, what it says to nobody in particular, and what is made of the latter. */
const SHUT_OUT = /WRONGPASS|NOAUTH|it wants a password/;
const LOAD_LIMIT_MS = 20_000;

const ALONE = 'there is one server, and the locks need it';
const NO_SERVER = 'the locks are in the process, and there is no server';
const FAILS_OVER = 'what turns a primary into a replica makes another one primary';

const nothing = async (): Promise<void> => undefined;
const WELL: Scene = { is: 'up', begin: nothing, end: nothing };

function inMemory(): TroubledServers {
  const scenes = Object.fromEntries(TROUBLES.map((trouble) => [trouble, NO_SERVER]));
  return {
    title: 'memory',
    open: nothing,
    backend: () => memory(),
    scenes: { ...(scenes as Record<Trouble, Impossible>), 'nothing is wrong': WELL },
    close: nothing,
  };
}

/** What all servers have in common that are alone. */
function troublesOfOne(server: () => RedisServer | PostgresServer | MariadbServer) {
  return {
    'nothing is wrong': WELL,
    'a server that the locks can do without is frozen': ALONE,
    'a server that the locks need is frozen': {
      is: 'down',
      says: /no answer within/,
      begin: async () => server().freeze(),
      end: async () => server().thaw(),
    },
    'most of the servers are dead': {
      is: 'down',
      says: /ECONNREFUSED/,
      begin: () => server().kill(),
      end: () => server().restart(),
    },
  } satisfies Partial<TroubledServers['scenes']>;
}

function oneRedis(): TroubledServers {
  let server: RedisServer;
  return {
    title: 'one Redis server',
    open: async () => {
      server = await RedisServer.start(...REDIS_SETTINGS);
      await admit([server]);
    },
    backend: () => redis(server.url, USER),
    scenes: {
      ...troublesOfOne(() => server),
      'the password is not right any more': {
        is: 'down',
        says: SHUT_OUT,
        begin: () => shutOut([server]),
        end: () => letIn([server]),
      },
      'the data is being loaded': {
        is: 'down',
        says: /loading/,
        begin: () => load([server]),
        end: () => haveLoaded([server]),
      },
      'the server takes no writes': {
        is: 'down',
        says: /\(replica\): it is a replica, which takes no writes/,
        begin: () => server.call('REPLICAOF', '127.0.0.1', 1),
        end: () => server.call('REPLICAOF', 'NO', 'ONE'),
      },
    },
    close: () => server.stop(),
  };
}

function redisUnderSentinels(): TroubledServers {
  let world: RedisSentinelWorld;
  let frozen: RedisServer;
  const heal = (): Promise<void> => world.heal();
  return {
    title: 'Redis under Sentinels',
    open: async () => {
      world = await RedisSentinelWorld.start(...REDIS_SETTINGS);
      await admit(world.servers);
    },
    backend: () => redis({ sentinels: world.sentinels, name: world.name, ...USER }),
    scenes: {
      'nothing is wrong': WELL,
      'a server that the locks can do without is frozen': {
        is: 'degraded',
        says: /1 of 6 servers are down\. 127\.0\.0\.1:\d+ \(replica\): /,
        begin: async () => (await world.replicas())[0]?.freeze(),
        end: heal,
      },
      'a server that the locks need is frozen': {
        is: 'down',
        says: /\(unknown\): no answer within/,
        begin: async () => {
          frozen = await world.primary();
          frozen.freeze();
        },
        end: async () => {
          await world.successorOf(frozen);
          await heal();
        },
      },
      'most of the servers are dead': {
        // the locks are on the primary, and it is well
        is: 'degraded',
        says: /4 of 6 servers are down/,
        begin: async () =>
          Promise.all([...(await world.replicas()), ...world.guards.slice(1)].map((server) => server.kill())),
        end: heal,
      },
      'the password is not right any more': {
        is: 'down',
        says: SHUT_OUT,
        begin: () => shutOut(world.servers),
        end: () => letIn(world.servers),
      },
      'the data is being loaded': {
        is: 'down',
        says: /loading/,
        begin: async () => load([await world.primary()]),
        end: () => haveLoaded(world.servers),
      },
      'the server takes no writes': FAILS_OVER,
    },
    close: () => world.stop(),
  };
}

function redisCluster(): TroubledServers {
  let world: RedisClusterWorld;
  const heal = (): Promise<void> => world.heal();
  const most = async (): Promise<RedisServer[]> => (await world.primaries()).slice(1);
  return {
    title: 'a Redis cluster',
    open: async () => {
      world = await RedisClusterWorld.start(...REDIS_SETTINGS);
      await admit(world.servers);
    },
    backend: () => redis({ cluster: world.nodes, redisOptions: USER }),
    scenes: {
      'nothing is wrong': WELL,
      'a server that the locks can do without is frozen': {
        is: 'degraded',
        says: /1 of 6 servers are down\. 127\.0\.0\.1:\d+ \(replica\): /,
        begin: async () => (await replicaIn(world)).freeze(),
        end: heal,
      },
      'a server that the locks need is frozen': {
        is: 'degraded',
        says: /\(primary\)/,
        // chance decides whether a lock is on that one
        probes: ['ping'],
        begin: async () => (await world.primaries())[0]?.freeze(),
        end: heal,
      },
      'most of the servers are dead': {
        is: 'down',
        begin: async () => Promise.all((await most()).map((server) => server.kill())),
        end: heal,
      },
      'the password is not right any more': {
        is: 'down',
        says: SHUT_OUT,
        begin: () => shutOut(world.servers),
        end: () => letIn(world.servers),
      },
      'the data is being loaded': {
        is: 'down',
        says: /loading/,
        begin: async () => load(await most()),
        end: () => haveLoaded(world.servers),
      },
      'the server takes no writes': FAILS_OVER,
    },
    close: () => world.stop(),
  };
}

async function replicaIn(world: RedisClusterWorld): Promise<RedisServer> {
  const [primary] = await world.primaries();
  if (!primary) throw new Error('no primary');
  return world.replicaOf(primary);
}

function onPostgres(): TroubledServers {
  let server: PostgresServer;
  return {
    title: 'PostgreSQL',
    open: async () => {
      server = await PostgresServer.start();
      await server.query(`CREATE ROLE ${USER.username} SUPERUSER LOGIN PASSWORD '${SECRET}'`);
    },
    backend: () => postgres(server.urlOf(USER.username)),
    scenes: {
      ...troublesOfOne(() => server),
      'the password is not right any more': {
        is: 'down',
        says: /not permitted to log in/,
        begin: async () => {
          // it trusts this machine, and asks nobody on it for a password
          await server.query(`ALTER ROLE ${USER.username} NOLOGIN`);
          await server.terminate();
        },
        end: () => server.query(`ALTER ROLE ${USER.username} LOGIN`),
      },
      'the data is being loaded': slowStart(/starting up/, () => server.restartSlowly()),
      'the server takes no writes': {
        is: 'down',
        says: /\(primary\): it takes no writes/,
        begin: () => readOnly(server, 'on'),
        end: () => readOnly(server, 'off'),
      },
    },
    close: () => server.stop(),
  };
}

function onMariadb(): TroubledServers {
  let server: MariadbServer;
  const { username } = USER;
  return {
    title: 'MariaDB',
    open: async () => {
      server = await MariadbServer.start();
      await server.query(`CREATE USER ${username} IDENTIFIED BY '${SECRET}'`);
      await server.query(`GRANT ALL ON *.* TO ${username}`);
    },
    backend: () => mysql(server.urlOf(`${username}:${SECRET}`)),
    scenes: {
      ...troublesOfOne(() => server),
      'the password is not right any more': {
        is: 'down',
        says: /Access denied/,
        begin: async () => {
          await server.query(`ALTER USER ${username} IDENTIFIED BY 'another'`);
          await server.query(`KILL USER ${username}`);
        },
        end: () => server.query(`ALTER USER ${username} IDENTIFIED BY '${SECRET}'`),
      },
      // it takes connections while it starts, and does not greet them
      'the data is being loaded': slowStart(/no answer within/, () => server.restartSlowly()),
      'the server takes no writes': {
        is: 'down',
        says: /\(replica\): it takes no writes/,
        begin: () => server.query('SET GLOBAL read_only = 1'),
        end: () => server.query('SET GLOBAL read_only = 0'),
      },
    },
    close: () => server.stop(),
  };
}

/** All backends there are, on all kinds of servers that they know; first those that take longest to start. */
export const TROUBLED: readonly TroubledServers[] = [
  onMariadb(),
  redisUnderSentinels(),
  onPostgres(),
  redisCluster(),
  oneRedis(),
  inMemory(),
];

/** The user is there for the locks alone: the servers themselves go on when it is shut out. Restarts keep it. */
async function admit(servers: readonly RedisServer[]): Promise<void> {
  for (const server of servers) {
    await server.call('ACL', 'SETUSER', USER.username, 'on', `>${SECRET}`, '~*', '&*', '+@all');
    await server.call('CONFIG', 'REWRITE');
  }
}

/** Whoever logs in by that name has another password from now on, and is not connected any more. */
async function shutOut(servers: readonly RedisServer[]): Promise<void> {
  for (const server of servers) await server.call('ACL', 'SETUSER', USER.username, 'resetpass', '>another');
  for (const server of servers) await server.call('CLIENT', 'KILL', 'USER', USER.username);
}

async function letIn(servers: readonly RedisServer[]): Promise<void> {
  for (const server of servers) await server.call('ACL', 'SETUSER', USER.username, `>${SECRET}`);
}

/** Has them load some keys again, at a hundred a second; they answer others in between. */
async function load(servers: readonly RedisServer[]): Promise<void> {
  for (const server of servers) {
    const slowly = ['key-load-delay', '10000', 'loading-process-events-interval-bytes', '1024'];
    await server.call('CONFIG', 'SET', ...slowly, 'rdbcompression', 'no');
    await server.call('DEBUG', 'POPULATE', 200, 'filler', 2_000);
  }
  for (const server of servers) void server.call('DEBUG', 'RELOAD').catch(() => undefined);
}

async function haveLoaded(servers: readonly RedisServer[]): Promise<void> {
  const isOver = (server: RedisServer): Promise<boolean> =>
    server.call('CONFIG', 'SET', 'key-load-delay', '0').then(
      () => true,
      () => false,
    );
  for (const server of servers) {
    await until(() => isOver(server), 'it takes settings', LOAD_LIMIT_MS, 50);
    await until(
      async () => (await server.info('persistence')).get('loading') === '0',
      'it has loaded',
      LOAD_LIMIT_MS,
      50,
    );
  }
}

function slowStart(says: RegExp, restart: () => Promise<void>): Scene {
  let started: Promise<void>;
  return {
    is: 'down',
    says,
    begin: async () => {
      started = restart();
      started.catch(() => undefined);
    },
    end: () => started,
  };
}

async function readOnly(server: PostgresServer, state: 'on' | 'off'): Promise<void> {
  await server.query(`ALTER SYSTEM SET default_transaction_read_only = ${state}`);
  await server.query('SELECT pg_reload_conf()');
}
