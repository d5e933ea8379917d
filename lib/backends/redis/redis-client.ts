import type { RedisLockSettings } from './redis-settings.js';

/**
 * What is needed of an ioredis client, version 5 or 6. Spelled out here, so that the types of this package do
 * not need ioredis to be installed.
 */
export interface RedisClient {
  readonly status: string;
  readonly options: object;
  readonly isCluster: boolean;
  /** The connection's socket; another one after each reconnection. */
  readonly stream?: {
    readonly bytesRead: number;
    readonly bytesWritten: number;
    cork(): void;
    uncork(): void;
    destroy(error: Error): void;
  };
  connect(): Promise<void>;
  disconnect(reconnect?: boolean): void;
  duplicate(override?: object): RedisClient;
  evalsha(sha1: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>;
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
  on(event: 'ready' | 'close' | 'end', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'message', listener: (channel: string, message: string) => void): unknown;
  off(event: 'ready' | 'close' | 'error', listener: (error: Error) => void): unknown;
}

/** Where the server is, and what locks on it mean. Anything else that ioredis understands is passed on to it. */
export interface RedisOptions extends RedisLockSettings {
  readonly host?: string;
  readonly port?: number;
  /** A Unix socket, in place of host and port. */
  readonly path?: string;
  readonly username?: string;
  readonly password?: string;
  readonly db?: number;
  readonly tls?: object;
  /** Put before every key by the client, and so before the module's own prefix. */
  readonly keyPrefix?: string;
  readonly [option: string]: unknown;
}

/** The options of a client that we read. */
interface KnownOptions {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string | null;
  readonly sentinels?: unknown;
  readonly keyPrefix?: string;
}

function knownOptions(client: RedisClient): KnownOptions {
  return client.options;
}

export function isRedisClient(target: unknown): target is RedisClient {
  return typeof target === 'object' && target !== null && 'evalsha' in target && 'duplicate' in target;
}

export function isSentinelClient(client: RedisClient): boolean {
  return Boolean(knownOptions(client).sentinels);
}

/** What the client puts before every key, though not before the pattern of a scan. */
export function keyPrefixOf(client: RedisClient): string {
  return String(knownOptions(client).keyPrefix ?? '');
}

/** Where the client connects to, for people; never with credentials. */
export function addressOf(client: RedisClient): string {
  const { host, port, path } = knownOptions(client);
  return path || `${host ?? 'localhost'}:${port ?? 6379}`;
}
