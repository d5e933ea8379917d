import { BackendError } from '../backend-error.js';
import type { RedisClient, RedisOptions } from './redis-client.js';

type RedisConstructor = new (...where: [url: string, settings: object] | [settings: object]) => RedisClient;

/** So long a connection is given to end in order, and so long a client that waits to reconnect holds the process. */
export const DISCONNECT_LIMIT_MS = 500;

/**
 * A client that never does anything late: what cannot be written at once is refused, and what was in flight
 * when the connection broke is not sent again.
 */
export async function createClient(
  url: string | undefined,
  options: RedisOptions | undefined,
): Promise<RedisClient> {
  const Redis = await loadConstructor();
  const settings = {
    connectTimeout: 5000,
    disconnectTimeout: DISCONNECT_LIMIT_MS,
    retryStrategy: reconnectDelayMs,
    ...options,
    lazyConnect: true,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
  };
  return url === undefined ? new Redis(settings) : new Redis(url, settings);
}

/** Only now: who hands a client in, or does not use Redis, needs no ioredis of ours. */
async function loadConstructor(): Promise<RedisConstructor> {
  try {
    const client = await import('ioredis');
    // the first releases of version 5 have no named export
    return 'Redis' in client ? client.Redis : (client as { default: RedisConstructor }).default;
  } catch (cause) {
    const message =
      'nestjs-interlock/redis needs the package ioredis: install it with `npm install ioredis`.';
    throw new BackendError(message, 'denied', { cause });
  }
}

/** From 50 ms, doubling up to a second, with some jitter so that a fleet does not come back at one instant. */
export function reconnectDelayMs(attempt: number): number {
  const longestMs = Math.min(1000, 50 * 2 ** Math.min(attempt - 1, 10));
  return longestMs * (0.5 + Math.random() / 2);
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
    client.on('end', () => resolve());
    client.disconnect();
  });
}
