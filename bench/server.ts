import { Redis } from 'ioredis';
import { ensureServers } from '../scripts/servers.mjs';
import { MariadbServer } from '../test/support/mariadb-server.js';
import { PostgresServer } from '../test/support/postgres-server.js';
import { RedisServer } from '../test/support/redis-server.js';
import type { ServerName } from './contestants/contestant.js';
import { setApart } from './cores.js';

interface Server {
  readonly url: string;
  /** Its name and version. */
  readonly title: string;
  /** Whether it has a core of its own. */
  readonly apart: boolean;
  stop(): Promise<void>;
}

const START: Readonly<Record<ServerName, () => Promise<Server>>> = {
  redis: startRedis,
  postgres: startPostgres,
  mariadb: startMariadb,
};

/** Servers of our own; stopped also when the bench is interrupted. */
export class Servers {
  private readonly running = new Map<ServerName, Server>();

  /** Redis is always there. */
  static async start(names: Iterable<ServerName>): Promise<Servers> {
    await ensureServers();
    const servers = new Servers();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => void servers.stop().finally(() => process.exit(1)));
    }
    try {
      for (const name of new Set<ServerName>(['redis', ...names]))
        servers.running.set(name, await START[name]());
    } catch (error) {
      await servers.stop();
      throw error;
    }
    return servers;
  }

  urlOf(name: ServerName): string {
    const server = this.running.get(name);
    if (!server) throw new Error(`The server ${name} was not started.`);
    return server.url;
  }

  get titles(): readonly string[] {
    return [...this.running.values()].map(({ title }) => title);
  }

  get areApart(): boolean {
    return [...this.running.values()].every(({ apart }) => apart);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.running.values()].map((server) => server.stop()));
    this.running.clear();
  }
}

async function startRedis(): Promise<Server> {
  const server = await RedisServer.start();
  const client = new Redis(server.url);
  const info = await client.info('server');
  await client.quit();
  return {
    url: server.url,
    title: `Redis ${/redis_version:(\S+)/.exec(info)?.[1] ?? 'unknown'}`,
    apart: setApart(Number(/process_id:(\d+)/.exec(info)?.[1])),
    stop: () => server.stop(),
  };
}

async function startPostgres(): Promise<Server> {
  const server = await PostgresServer.start();
  const apart = server.processIds.map(setApart);
  const [row] = await server.query('SHOW server_version');
  return {
    url: server.url,
    title: `PostgreSQL ${String(row?.['server_version']).split(' ', 1)[0]}`,
    apart: apart.every(Boolean),
    stop: () => server.stop(),
  };
}

async function startMariadb(): Promise<Server> {
  const server = await MariadbServer.start();
  const [anyThread = NaN] = server.processIds;
  const [row] = await server.query('SELECT VERSION() AS version');
  return {
    url: server.url,
    title: `MariaDB ${String(row?.['version']).split('-', 1)[0]}`,
    apart: setApart(anyThread),
    stop: () => server.stop(),
  };
}
