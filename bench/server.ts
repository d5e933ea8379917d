import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { Redis } from 'ioredis';
import { ensureServers } from '../scripts/servers.mjs';
import { RedisServer } from '../test/support/redis-server.js';

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

/**
 * Gives the server a core of its own, where the system can do that. Servers are elsewhere. Where client and server share
 * a core, no time is lost by waking each other up, all that counts is who computes less, and whether they share one
 * would be up to the scheduler, anew for each run.
 */
function setApart(serverProcessId: number): boolean {
  const last = availableParallelism() - 1;
  if (last < 1) return false;
  try {
    bind(serverProcessId, `${last}`);
    bind(process.pid, `0-${last - 1}`);
    return true;
  } catch {
    return false;
  }
}

function bind(processId: number, cores: string): void {
  const args = ['--all-tasks', '--pid', '--cpu-list', cores, String(processId)];
  execFileSync('taskset', args, { stdio: 'ignore' });
}
