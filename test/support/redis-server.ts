import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { findRedisServer } from '../../scripts/servers.mjs';

const BOOT_LIMIT_MS = 10_000;
const CALL_LIMIT_MS = 1_000;
const CONFIGURATION = 'redis.conf';

/**
 * The shell starts the server, tells its process id, and waits for its own standard input to end. That ends
 * with this process, however it ends, and then the server is killed, even a frozen one.
 */
const GUARD = '"$0" "$@" >redis.log 2>&1 & echo $!; cat >/dev/null; kill -9 $! 2>/dev/null; wait';

/** How a server is to be started. */
export interface RedisServerPlan {
  readonly port?: number;
  /** As on the command line; they win over the file at each start. */
  readonly settings?: readonly string[];
  /** The lines of its configuration file, which the server itself may rewrite. */
  readonly file?: readonly string[];
  /** On top of our own. */
  readonly environment?: Readonly<Record<string, string>>;
}

/**
 * Below the range from which systems take the ports of outgoing connections, so that it stays free while a server that
 * was killed is to come back to it.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const free = await listenOn(10_000 + Math.floor(Math.random() * 10_000)).catch(() => undefined);
    if (free !== undefined) return free;
  }
}

/**
 * Free together with the one that is 10,000 above it, where a node of a cluster talks to the others. Both are
 * below the range from which systems take the ports of outgoing connections, so they stay free until used.
 */
export async function freeClusterPort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 2_700);
    const free = await Promise.all([listenOn(port), listenOn(port + 10_000)]).catch(() => undefined);
    if (free) return port;
  }
}

async function listenOn(port: number): Promise<number> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (typeof address !== 'object' || address === null) throw new Error('no free port');
  return address.port;
}

/** A real redis-server on a free port and in a scratch folder. */
export class RedisServer implements AsyncDisposable {
  private guard: ChildProcess | undefined;
  /** Of the server that runs now. */
  processId = 0;

  private constructor(
    readonly port: number,
    private readonly folder: string,
    private readonly settings: readonly string[],
    private readonly environment: Readonly<Record<string, string>>,
  ) {}

  /** @param settings as on the command line of redis-server */
  static start(...settings: string[]): Promise<RedisServer> {
    return RedisServer.launch({ settings });
  }

  static async launch(plan: RedisServerPlan): Promise<RedisServer> {
    const { port, settings = [], file = [], environment = {} } = plan;
    const folder = await mkdtemp(join(tmpdir(), 'interlock-redis-'));
    await writeFile(join(folder, CONFIGURATION), file.map((line) => `${line}\n`).join(''));
    const server = new RedisServer(port ?? (await freePort()), folder, settings, environment);
    await server.boot();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get alive(): boolean {
    return this.guard !== undefined;
  }

  /** One command, over a connection of its own, so that it works in every state; rejects after a second without a reply. */
  async call(command: string, ...given: (string | number)[]): Promise<unknown> {
    const client = new Redis({
      port: this.port,
      lazyConnect: true,
      enableReadyCheck: false,
      retryStrategy: () => null,
      connectTimeout: CALL_LIMIT_MS,
      maxRetriesPerRequest: 0,
    });
    client.on('error', () => undefined);
    const limit = setTimeout(() => client.disconnect(), CALL_LIMIT_MS);
    try {
      await client.connect();
      return await client.call(command, ...given);
    } finally {
      clearTimeout(limit);
      client.disconnect();
    }
  }

  /** What the server says of itself under that heading, by name. */
  async info(section: string): Promise<ReadonlyMap<string, string>> {
    const text = String(await this.call('INFO', section));
    return new Map(
      [...text.matchAll(/^([^:#\r\n]+):(.*?)\r?$/gm)].map(([, name = '', value = '']) => [name, value]),
    );
  }

  /** Stops answering, with all connections left open. */
  freeze(): void {
    process.kill(this.processId, 'SIGSTOP');
  }

  thaw(): void {
    process.kill(this.processId, 'SIGCONT');
  }

  /** Ends at once, as in a crash. */
  async kill(): Promise<void> {
    const { guard } = this;
    if (!guard) return;
    this.guard = undefined;
    const exit = once(guard, 'exit');
    guard.stdin?.end();
    await exit;
  }

  /** Comes back on the same port and with its configuration; empty, unless the settings make it durable. */
  async restart(): Promise<void> {
    await this.kill();
    await this.boot();
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  private async boot(): Promise<void> {
    const program = findRedisServer();
    if (!program) throw new Error('redis-server is missing: run `node scripts/servers.mjs`.');
    const basics = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    const given = [join(this.folder, CONFIGURATION), ...basics, '--dir', this.folder, ...this.settings];
    const guard = spawn('sh', ['-c', GUARD, program, ...given], {
      cwd: this.folder,
      env: { ...process.env, ...this.environment },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.guard = guard;
    const [line] = (await once(createInterface(guard.stdout), 'line')) as [string];
    this.processId = Number(line);
    await this.waitUntilUp();
  }

  private async waitUntilUp(): Promise<void> {
    const endMs = performance.now() + BOOT_LIMIT_MS;
    while (!(await this.answers())) {
      if (performance.now() > endMs) {
        const log = await readFile(join(this.folder, 'redis.log'), 'utf8').catch(() => '');
        await this.stop();
        throw new Error(`redis-server did not start:\n${log}`);
      }
      await sleep(10);
    }
  }

  /** Any reply will do; one that wants a password is up as well. */
  private async answers(): Promise<boolean> {
    const socket = createConnection(this.port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      socket.write('PING\r\n');
      const [reply] = (await once(socket, 'data')) as [Buffer];
      return !reply.toString().startsWith('-LOADING');
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  }
}
