import type { RedisLockSettings } from './redis-settings.js';

/** What is needed of any client of ioredis, version 5 or 6, of one server or of a cluster. */
interface Commands {
  readonly status: string;
  readonly options: object;
  connect(): Promise<void>;
  disconnect(reconnect?: boolean): void;
  evalsha(sha1: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>;
  eval(source: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>;
  on(event: 'ready' | 'close' | 'end', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  off(event: 'ready' | 'close', listener: () => void): unknown;
  off(event: 'error', listener: (error: Error) => void): unknown;
}

/** A `Redis` of ioredis: one connection, to one server or to the primary that Sentinels name. */
export interface RedisNode extends Commands {
  readonly isCluster: boolean;
  /** The connection's socket; another one after each reconnection. */
  readonly stream?: {
    readonly remoteAddress?: string | undefined;
    readonly remotePort?: number | undefined;
    readonly bytesRead: number;
    readonly bytesWritten: number;
    cork(): void;
    uncork(): void;
    destroy(error: Error): void;
  };
  /** What was agreed upon with the server; version 5 speaks RESP2 only, and says nothing of a protocol. */
  readonly condition?: object | null;
  duplicate(override?: object): RedisNode;
  call(command: string, ...given: string[]): Promise<unknown>;
  /** The client's own class of commands, which is another one for each version. */
  sendCommand(command: never): unknown;
  script(subcommand: 'LOAD', source: string): Promise<unknown>;
  info(): Promise<string>;
  scan(
    cursor: string,
    match: 'MATCH',
    pattern: string,
    count: 'COUNT',
    size: string,
  ): Promise<[string, string[]]>;
  subscribe(channel: string): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
  on(event: 'ready' | 'close' | 'end', listener: () => void): unknown;
  on(event: 'error' | 'sentinelError', listener: (error: Error) => void): unknown;
  on(event: 'message', listener: (channel: string, message: string) => void): unknown;
  on(event: 'messageBuffer', listener: (channel: Buffer, message: Buffer) => void): unknown;
  off(event: 'ready' | 'close', listener: () => void): unknown;
  off(event: 'error' | 'sentinelError', listener: (error: Error) => void): unknown;
  off(event: 'message', listener: (channel: string, message: string) => void): unknown;
  off(event: 'messageBuffer', listener: (channel: Buffer, message: Buffer) => void): unknown;
}

/** A `Cluster` of ioredis: a connection for each node that is used. */
export interface RedisCluster extends Commands {
  readonly isCluster: boolean;
  /** The addresses of the servers of each slot, the primary first. */
  readonly slots: readonly (readonly string[])[];
  nodes(role?: 'all' | 'master' | 'slave'): RedisNode[];
  /** Asks a node who serves what, and tells by 'refresh'; not even rejects when none of them answers. */
  refreshSlotsCache(): void;
  on(event: 'ready' | 'close' | 'end' | 'refresh', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: '+node', listener: (node: RedisNode) => void): unknown;
  off(event: 'ready' | 'close' | 'refresh', listener: () => void): unknown;
  off(event: 'error', listener: (error: Error) => void): unknown;
  off(event: '+node', listener: (node: RedisNode) => void): unknown;
}

/**
 * A client of ioredis, version 5 or 6. Spelled out here, so that the types of this package do not need ioredis to be
 * installed.
 */
export type RedisClient = RedisNode | RedisCluster;

/** Where a server of a cluster is: its address, or a URL. */
export type RedisAddress = string | { readonly host?: string; readonly port?: number };

/** Where the server is, and what locks on it mean. Anything else that ioredis understands is passed on to it. */
export interface RedisOptions extends RedisLockSettings {
  /** Default 'localhost'. */
  readonly host?: string;
  /** Default 6379. */
  readonly port?: number;
  /** A Unix socket, in place of host and port. */
  readonly path?: string;
  /** Of an ACL user. Default: the server's default user. */
  readonly username?: string;
  /** Default: none. */
  readonly password?: string;
  /** The number of the database; a cluster has 0 alone. Default 0. */
  readonly db?: number;
  /** Options of Node's `tls.connect`; `{}` turns TLS on. Default: none, unless the URL is `rediss://`. */
  readonly tls?: object;
  /** Put before every key by the client, and so before the module's own prefix. */
  readonly keyPrefix?: string;
  /** Where the Sentinels are, in place of host and port. */
  readonly sentinels?: readonly { readonly host?: string; readonly port?: number }[];
  /** What the Sentinels call the primary. */
  readonly name?: string;
  /**
   * Some nodes of a cluster, in place of host and port; the others are found through them. What concerns the connection
   * to each node (`username`, `password`, `tls`, …) goes into `redisOptions`; credentials in a URL count for all nodes.
   */
  readonly cluster?: readonly RedisAddress[];
  /** For the connection to each node of a cluster. */
  readonly redisOptions?: object;
  readonly [option: string]: unknown;
}

/** The options of a client that we read. */
export interface KnownOptions {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string | null;
  readonly name?: string | null;
  readonly sentinels?: readonly { readonly host?: string; readonly port?: number }[] | null;
  readonly sentinelUsername?: string | null;
  readonly sentinelPassword?: string | null;
  readonly sentinelTLS?: object;
  readonly tls?: unknown;
  readonly natMap?: unknown;
  readonly keyPrefix?: string;
  readonly autoResendUnfulfilledCommands?: boolean;
  readonly clusterNodeRetryStrategy?: unknown;
  readonly commandTimeout?: number;
  readonly enableAutoPipelining?: boolean;
  readonly showFriendlyErrorStack?: boolean;
  readonly maxRetriesPerRequest?: number | null;
  readonly redisOptions?: KnownOptions;
}

export function knownOptions(client: RedisClient): KnownOptions {
  return client.options;
}

export function isRedisClient(target: unknown): target is RedisClient {
  return typeof target === 'object' && target !== null && 'evalsha' in target && 'duplicate' in target;
}

export function isCluster(client: RedisClient): client is RedisCluster {
  return client.isCluster;
}

export function isSentinelClient(client: RedisClient): boolean {
  return Boolean(knownOptions(client).sentinels);
}

export function usesTls(client: RedisClient): boolean {
  const { tls, redisOptions } = knownOptions(client);
  return Boolean(tls ?? redisOptions?.tls);
}

/** True when messages can come over the connection that commands go through. */
export function speaksResp3({ condition }: RedisNode): boolean {
  return typeof condition === 'object' && condition !== null && 'protocol' in condition
    ? condition.protocol === 3
    : false;
}

/** What the client puts before every key, though not before the pattern of a scan. */
export function keyPrefixOf(client: RedisClient): string {
  return String(knownOptions(client).keyPrefix ?? '');
}

/** Where the client connects to, for people; never with credentials. */
export function addressOf(client: RedisClient): string {
  if (isCluster(client)) {
    const { startupNodes } = client as { startupNodes?: readonly unknown[] };
    return (startupNodes ?? []).map(placeOf).join(', ') || 'cluster';
  }
  const { host, port, path, sentinels, name } = knownOptions(client);
  if (sentinels) return `${name ?? ''} (by the Sentinels ${sentinels.map(placeOf).join(', ')})`;
  return path || `${host ?? 'localhost'}:${port ?? 6379}`;
}

/** An address in whatever form ioredis takes it: a port, `host:port`, a URL or options. */
function placeOf(address: unknown): string {
  if (typeof address === 'object' && address !== null) {
    const { host, port } = address as { host?: string; port?: number | string };
    return `${host ?? 'localhost'}:${port ?? ''}`;
  }
  return String(address)
    .replace(/^\w+:\/\//, '')
    .replace(/^.*@/, '')
    .replace(/[/?].*$/, '');
}
