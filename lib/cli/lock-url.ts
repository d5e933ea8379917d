import type { LockBackend } from '../backends/lock-backend.js';
import { WrongUsage } from './command-line.js';

type Maker = (url: string) => Promise<LockBackend>;

const redis: Maker = async (url) => (await import('../backends/redis/index.js')).redis(url);
const postgres: Maker = async (url) => (await import('../backends/postgres/index.js')).postgres(url);
const mysql: Maker = async (url) => (await import('../backends/mysql/index.js')).mysql(url);

/** By the scheme of the URL; each client is loaded when it is needed. */
const MAKERS: Readonly<Record<string, Maker>> = {
  redis,
  rediss: redis,
  'redis+sentinel': sentinels,
  'rediss+sentinel': sentinels,
  'redis+cluster': cluster,
  'rediss+cluster': cluster,
  postgres,
  postgresql: postgres,
  mysql,
  mariadb: mysql,
};

/** The SQL that makes the tables, by database. */
const MIGRATIONS: Readonly<Record<string, () => Promise<string>>> = {
  postgres: async () => (await import('../backends/postgres/index.js')).migration(),
  mysql: async () => (await import('../backends/mysql/index.js')).migration(),
};

/** @throws WrongUsage when no backend has such addresses */
export function backendAt(url: string | undefined): Promise<LockBackend> {
  if (url === undefined) {
    throw new WrongUsage(
      'Say where the locks are: --url redis://localhost:6379, or the variable INTERLOCK_URL.',
    );
  }
  const scheme = /^([a-z+]+):/.exec(url)?.[1] ?? '';
  if (scheme === 'memory') {
    throw new WrongUsage('Locks in the memory of a process can be seen in that process alone.');
  }
  const make = MAKERS[scheme];
  // not the URL itself: there may be a password in it
  if (!make)
    throw new WrongUsage(`No locks are at "${scheme}:"; there are ${Object.keys(MAKERS).join(', ')}.`);
  return make(url);
}

/** @throws WrongUsage when that database needs none */
export function migrationOf(database: string): Promise<string> {
  const make = MIGRATIONS[database];
  if (!make)
    throw new WrongUsage(`There is SQL for ${Object.keys(MIGRATIONS).join(', ')}, not for "${database}".`);
  return make();
}

/** A URL with several hosts, which Node does not read. */
interface Hosts {
  readonly scheme: string;
  /** `user:password@`, as it was written, or nothing. */
  readonly credentials: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly hosts: readonly string[];
  readonly path: string;
}

function hostsOf(url: string): Hosts {
  const [, scheme = '', credentials = '', hosts = '', path = ''] =
    /^(rediss?)\+\w+:\/\/([^@/]*@)?([^/]+)(?:\/(.*))?$/.exec(url) ?? [];
  if (hosts === '') throw new WrongUsage('The URL names no host; write redis+cluster://host:port,host:port.');
  const [username, password] = credentials.slice(0, -1).split(':').map(decodeURIComponent);
  return { scheme, credentials, username, password, hosts: hosts.split(','), path };
}

async function cluster(url: string): Promise<LockBackend> {
  const { scheme, credentials, hosts } = hostsOf(url);
  const { redis: make } = await import('../backends/redis/index.js');
  return make({ cluster: hosts.map((host) => `${scheme}://${credentials}${host}`) });
}

async function sentinels(url: string): Promise<LockBackend> {
  const { scheme, username, password, hosts, path } = hostsOf(url);
  if (path === '')
    throw new WrongUsage('Write what the Sentinels call the primary: redis+sentinel://host:port/NAME.');
  const { redis: make } = await import('../backends/redis/index.js');
  return make({
    sentinels: hosts.map((host) => {
      const { hostname, port } = new URL(`redis://${host}`);
      return { host: hostname, port: Number(port || 26_379) };
    }),
    name: decodeURIComponent(path),
    ...(username && { username }),
    ...(password && { password }),
    ...(scheme === 'rediss' && { tls: {} }),
  });
}
