import type { Clock } from '../../core/clock.js';
import type { NodeHealth } from '../lock-backend.js';
import type { RedisNode } from './redis-client.js';
import { NotSent, reasonOf } from './redis-error.js';
import { parseInfo } from './redis-server-info.js';
import { within } from '../time-limit.js';

export const HEALTH_LIMIT_MS = 1000;

/** How one server is, by one question over this connection. Never rejects. */
export async function healthOf(
  client: RedisNode,
  node: string,
  clock: Clock,
  limitMs = HEALTH_LIMIT_MS,
): Promise<NodeHealth> {
  const startedAtMs = clock.now();
  try {
    if (client.status !== 'ready') throw new NotSent(client.status);
    const { role, version, loading } = parseInfo(await within(clock, limitMs, client.info()));
    if (loading) return { ...isDown(node, new Error('it is still loading its data'), role), version };
    return { node, role, state: 'up', latencyMs: clock.now() - startedAtMs, version };
  } catch (error) {
    return isDown(node, error);
  }
}

/** The same over a connection that is made for the question, and closed after it. */
export async function healthByVisit(
  visitor: RedisNode,
  node: string,
  clock: Clock,
  limitMs = HEALTH_LIMIT_MS,
): Promise<NodeHealth> {
  const untilMs = clock.now() + limitMs;
  let complaint: unknown;
  visitor.on('error', (error: unknown) => (complaint ??= error));
  try {
    await within(clock, limitMs, visitor.connect());
    const health = await healthOf(visitor, node, clock, Math.max(1, untilMs - clock.now()));
    // ioredis 5 calls itself ready also when the password was refused
    return health.state === 'down' && complaint !== undefined ? isDown(node, complaint) : health;
  } catch (error) {
    // what the client complained of comes first, and tells more than that the connection was closed
    return isDown(node, complaint ?? error);
  } finally {
    visitor.disconnect();
  }
}

/** For a connection that is used once. */
export const VISIT = {
  lazyConnect: true,
  enableOfflineQueue: false,
  enableReadyCheck: false,
  autoResubscribe: false,
  retryStrategy: null,
  sentinelRetryStrategy: null,
  connectTimeout: HEALTH_LIMIT_MS,
  disconnectTimeout: HEALTH_LIMIT_MS,
} as const;

export function isDown(node: string, error: unknown, role = 'unknown'): NodeHealth {
  return { node, role, state: 'down', error: reasonOf(error) };
}
