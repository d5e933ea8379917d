import type { Redis } from 'ioredis';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cleanup } from './stage.js';

const LONGEST_START_MS = 5_000;

/**
 * The shell waits for its standard input to end, which it does with this process, however that ends; then it
 * takes the server and its folder along.
 */
const GUARD = `
command -v "$0" >/dev/null || exit 127
folder=$(mktemp -d) && cd "$folder" || exit 1
"$0" "$@" >/dev/null 2>&1 &
cat >/dev/null
kill -9 $! 2>/dev/null; wait
cd / && rm -rf "$folder"`;

/** Starts a redis-server on a free port, in a scratch folder, and sees to it that both go away again. */
export async function startRedis(cleanup: Cleanup): Promise<string> {
  const program = process.env['INTERLOCK_REDIS_SERVER'] ?? 'redis-server';
  const port = await freePort();
  const flags = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  // Detached: Ctrl-C would else end it before the locks are given back.
  const guard = spawn('sh', ['-c', GUARD, program, ...flags], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  const exit = once(guard, 'exit');
  cleanup.add(() => {
    guard.stdin.end();
    return exit;
  });
  const missing = exit.then(([code]: unknown[]) => {
    if (code !== 127) throw new Error(`${program} did not start: exit code ${String(code)}`);
    throw new Error(`${program} was not found; install it, or name a running one: --url redis://…`);
  });
  const url = `redis://127.0.0.1:${port}`;
  await Promise.race([untilUp(url), missing]);
  return url;
}

async function untilUp(url: string): Promise<void> {
  const endMs = performance.now() + LONGEST_START_MS;
  for (;;) {
    try {
      return await checkRedis(url);
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await sleep(20);
    }
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => {
    probe.close(resolve);
  });
  return port;
}

/** Says at once when nobody answers there; a lock service is more patient, as servers do restart. */
export async function checkRedis(url: string): Promise<void> {
  try {
    await withClient(url, (client) => client.ping());
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`No Redis answers at ${withoutPassword(url)}: ${why}`, { cause: error });
  }
}

/** Removes what this run has left on a server that others use as well. */
export async function forgetKeys(url: string, prefix: string): Promise<void> {
  await withClient(url, async (client) => {
    for await (const keys of client.scanStream({ match: `*${prefix}*`, count: 1_000 })) {
      const found = keys as string[];
      if (found.length > 0) await client.unlink(...found);
    }
  });
}

export function withoutPassword(url: string): string {
  return url.replace(/\/\/[^/]*@/, '//');
}

async function withClient(url: string, use: (client: Redis) => Promise<unknown>): Promise<void> {
  const { Redis } = await import('ioredis');
  const client = new Redis(url, { lazyConnect: true, connectTimeout: 2_000, retryStrategy: () => null });
  let reason: Error | undefined;
  client.on('error', (error) => (reason = error));
  try {
    await client.connect();
    await use(client);
  } catch (error) {
    // The client's own says no more than that the connection is closed.
    throw reason ?? error;
  } finally {
    client.disconnect();
  }
}
