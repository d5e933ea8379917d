import type { Redis } from 'ioredis';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Cleanup } from './stage.js';

/** Starts a redis-server on a free port, with a scratch folder, and sees to it that both go away again. */
export async function startRedis(cleanup: Cleanup): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ticket-shop-'));
  cleanup.add(() => rm(folder, { recursive: true, force: true }));
  const port = await freePort();
  const flags = [
    '--port',
    `${port}`,
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    folder,
  ];
  // A group of its own: Ctrl-C would else end it before the locks are given back.
  const server = spawn('redis-server', flags, { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
  const gone = new Promise<never>((_, reject) => {
    server.once('error', () =>
      reject(new Error('redis-server was not found; install it, or name a running one: --url redis://…')),
    );
    server.once('exit', (code) => reject(new Error(`redis-server ended with exit code ${code}.`)));
  });
  cleanup.add(async () => {
    if (server.exitCode !== null || server.signalCode !== null || server.pid === undefined) return;
    const exit = once(server, 'exit');
    server.kill('SIGKILL');
    await exit;
  });
  process.once('exit', () => server.kill('SIGKILL'));
  await Promise.race([ready(server.stdout), gone]);
  return `redis://127.0.0.1:${port}`;
}

async function ready(output: NodeJS.ReadableStream): Promise<void> {
  let log = '';
  for await (const chunk of output) {
    log += String(chunk);
    if (log.includes('Ready to accept connections')) break;
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
