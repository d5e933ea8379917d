import { Redis } from 'ioredis';
import { ensureServers } from '../scripts/servers.mjs';
import { RedisServer } from '../test/support/redis-server.js';
import { setApart } from './cores.js';

export interface Server {
  readonly url: string;
  readonly version: string;
  /** Whether it has a core of its own. */
  readonly apart: boolean;
  stop(): Promise<void>;
}

/** A server of our own; stopped also when the bench is interrupted. */
export async function startServer(): Promise<Server> {
  await ensureServers();
  const server = await RedisServer.start();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void server.stop().finally(() => process.exit(1)));
  }
  const client = new Redis(server.url);
  const info = await client.info('server');
  await client.quit();
  return {
    url: server.url,
    version: /redis_version:(\S+)/.exec(info)?.[1] ?? 'unknown',
    apart: setApart(Number(/process_id:(\d+)/.exec(info)?.[1])),
    stop: () => server.stop(),
  };
}
