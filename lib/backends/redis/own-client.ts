import { BackendError } from '../backend-error.js';
import { reconnectDelayMs } from '../reconnect-delay.js';
import type { RedisAddress, RedisClient, RedisCluster, RedisNode, RedisOptions } from './redis-client.js';

interface RedisConstructor {
  new (...where: [url: string, settings: object] | [settings: object]): RedisNode;
  readonly Cluster: new (nodes: readonly RedisAddress[], settings: object) => RedisCluster;
}

/** So long a connection is given to end in order, and so long a client that waits to reconnect holds the process. */
export const DISCONNECT_LIMIT_MS = 500;
/** A client that does not tell of its end by then has none to tell of. */
const CLOSE_LIMIT_MS = 2 * DISCONNECT_LIMIT_MS;

/**
 * What makes a client of ours refuse what cannot be written at once, and forget what was in flight. Who listens
 * subscribes anew by itself: when a connection breaks while the client does that, nobody handles its rejection.
 */
const NOTHING_LATE = {
  autoResubscribe: false,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
} as const;

/**
 * A client that never does anything late: what cannot be written at once is refused, and what was in flight
 * when the connection broke is not sent again.
 */
export async function createClient(
  url: string | undefined,
  options: RedisOptions = {},
): Promise<RedisClient> {
  const Redis = await loadConstructor();
  const { cluster, ...others } = options;
  if (cluster) return createCluster(Redis, cluster, others);
  if (options.sentinels) return createBySentinels(Redis, options);
  const settings = {
    connectTimeout: 5000,
    disconnectTimeout: DISCONNECT_LIMIT_MS,
    retryStrategy: reconnectDelayMs,
    ...options,
    ...NOTHING_LATE,
    lazyConnect: true,
    enableReadyCheck: false,
  };
  return url === undefined ? new Redis(settings) : new Redis(url, settings);
}

/** Asks whoever it connects to for its role; and a Sentinel that does not answer is passed over. */
function createBySentinels(Redis: RedisConstructor, options: RedisOptions): RedisClient {
  let connected = false;
  const client = new Redis({
    connectTimeout: 2000,
    sentinelCommandTimeout: 1000,
    disconnectTimeout: DISCONNECT_LIMIT_MS,
    retryStrategy: reconnectDelayMs,
    // the first time it fails fast, so that the start can say why; afterwards it goes on for ever
    sentinelRetryStrategy: (attempt: number) => (connected ? reconnectDelayMs(attempt) : null),
    ...options,
    ...NOTHING_LATE,
    lazyConnect: true,
    enableReadyCheck: true,
    role: 'master',
  });
  client.on('ready', () => {
    connected = true;
  });
  return client;
}

/**
 * Redirections (MOVED, ASK, TRYAGAIN) are followed, because a server that redirects has done nothing; a few of them,
 * for less than half a second. What was in flight when a connection broke may have been done, and is not sent again.
 */
function createCluster(
  Redis: RedisConstructor,
  nodes: readonly RedisAddress[],
  { redisOptions, ...options }: RedisOptions,
): RedisClient {
  return new Redis.Cluster(nodes, {
    clusterRetryStrategy: reconnectDelayMs,
    maxRedirections: 8,
    retryDelayOnTryAgain: 50,
    slotsRefreshTimeout: 500,
    ...options,
    redisOptions: {
      connectTimeout: 2000,
      disconnectTimeout: DISCONNECT_LIMIT_MS,
      enableReadyCheck: false,
      ...credentialsIn(nodes),
      ...redisOptions,
      ...NOTHING_LATE,
    },
    lazyConnect: true,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    scaleReads: 'master',
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    clusterNodeRetryStrategy: null,
  });
}

/** Those of the first URL: the nodes that are found through it want the same. */
function credentialsIn(nodes: readonly RedisAddress[]): object {
  const url = nodes.find((node) => typeof node === 'string' && /^rediss?:\/\//.test(node));
  if (typeof url !== 'string') return {};
  const { username, password, protocol } = new URL(url);
  return {
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...(protocol === 'rediss:' && { tls: {} }),
  };
}

/** Only now: who hands a client in, or does not use Redis, needs no ioredis of ours. */
async function loadConstructor(): Promise<RedisConstructor> {
  try {
    const client: object = await import('ioredis');
    // the first releases of version 5 have no named export
    const { Redis, default: usual } = client as { Redis?: RedisConstructor; default: RedisConstructor };
    return Redis ?? usual;
  } catch (cause) {
    const message =
      'nestjs-interlock/redis needs the package ioredis: install it with `npm install ioredis`.';
    throw new BackendError(message, 'denied', { cause });
  }
}

/** Resolves when the connection is closed; the client itself sees to it that this is soon. */
export function closeClient(client: RedisClient): Promise<void> {
  if (client.status === 'end') return Promise.resolve();
  if (client.status === 'reconnecting') {
    // there is no connection, so its end is not told
    client.disconnect();
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, CLOSE_LIMIT_MS);
    client.on('end', () => {
      clearTimeout(timer);
      resolve();
    });
    client.disconnect();
  });
}
