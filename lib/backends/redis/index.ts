import type { LockBackend } from '../lock-backend.js';
import { RedisBackend } from './redis-backend.js';
import { isRedisClient, type RedisClient, type RedisOptions } from './redis-client.js';
import { lockSettingsOf, withoutLockSettings, type RedisLockSettings } from './redis-settings.js';

export type { RedisAddress, RedisClient, RedisCluster, RedisNode, RedisOptions } from './redis-client.js';
export type { RedisLockSettings } from './redis-settings.js';

/**
 * Locks on a Redis or Valkey server, version 6.2 or newer. Needs the package `ioredis`, 5 or 6.
 *
 * @param url where the server is; default: `redis://localhost:6379`
 * @param options for the client, on top of the URL, and what the locks mean: `lockDelay`, `replicas`
 * @throws LockConfigurationError at once, when one of the latter is wrong
 *
 * @example
 * LockModule.forRoot({ backend: redis('redis://localhost:6379') })
 */
export function redis(url: string, options?: RedisOptions): LockBackend;
/** @param options where the server is, and anything else that ioredis understands */
export function redis(options?: RedisOptions): LockBackend;
/** @param client a client of the application's own; it stays open when the locks are closed */
export function redis(client: RedisClient, settings?: RedisLockSettings): LockBackend;
export function redis(
  target?: string | RedisOptions | RedisClient,
  more?: RedisOptions | RedisLockSettings,
): LockBackend {
  if (isRedisClient(target)) return new RedisBackend({ client: target }, lockSettingsOf(more));
  const given = typeof target === 'string' ? more : target;
  const url = typeof target === 'string' ? target : undefined;
  return new RedisBackend({ url, options: withoutLockSettings(given) }, lockSettingsOf(given));
}
