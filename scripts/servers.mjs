/**
 * The lock servers that the tests run against. Each test starts its own, on a free port and in a scratch folder;
 * this finds the programs, and installs them where that is possible without asking anybody.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const USUAL_FOLDERS = [
  '/usr/bin',
  '/usr/local/bin',
  '/opt/homebrew/bin',
  '/usr/sbin',
  '/usr/local/sbin',
  '/opt/redis/bin',
];
const ADVICE =
  'The tests need redis-server 6.2 or newer. Install it (Debian, Ubuntu: apt-get install redis-server; macOS: ' +
  'brew install redis), or give its path in INTERLOCK_REDIS_SERVER.';

/** Where Debian and others keep each version of PostgreSQL. */
const POSTGRES_VERSIONS = '/usr/lib/postgresql';
const POSTGRES_ADVICE =
  'The tests need PostgreSQL 12 or newer. Install it (Debian, Ubuntu: apt-get install postgresql; macOS: brew install ' +
  'postgresql), or give the folder of `initdb` in INTERLOCK_POSTGRES.';
const MARIADB_ADVICE =
  'The tests need MariaDB 10.6 or newer. Install it (Debian, Ubuntu: apt-get install mariadb-server; macOS: brew install ' +
  'mariadb).';
const PGBOUNCER_ADVICE = 'The tests need pgbouncer. Install it (Debian, Ubuntu: apt-get install pgbouncer).';

/** A file with this name keeps Debian's packages from starting their service when they are installed. */
const POLICY = '/usr/sbin/policy-rc.d';

/** @param {string} file */
function isProgram(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function searched() {
  return [...(process.env['PATH'] ?? '').split(delimiter), ...USUAL_FOLDERS];
}

/**
 * Where redis-server is; undefined when it is nowhere.
 * @returns {string | undefined}
 */
export function findRedisServer() {
  const given = process.env['INTERLOCK_REDIS_SERVER'];
  if (given) {
    if (!isProgram(given))
      throw new Error(`INTERLOCK_REDIS_SERVER is ${given}, which is no program. ${ADVICE}`);
    return given;
  }
  return searched()
    .map((folder) => join(folder, 'redis-server'))
    .find(isProgram);
}

/**
 * The folder with the programs of the newest PostgreSQL; undefined when there is none.
 * @returns {string | undefined}
 */
export function findPostgres() {
  const given = process.env['INTERLOCK_POSTGRES'];
  if (given) {
    if (!isProgram(join(given, 'initdb')))
      throw new Error(`INTERLOCK_POSTGRES is ${given}, where there is no initdb. ${POSTGRES_ADVICE}`);
    return given;
  }
  const versions = existsSync(POSTGRES_VERSIONS) ? readdirSync(POSTGRES_VERSIONS) : [];
  const folders = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(POSTGRES_VERSIONS, version, 'bin'));
  return [...folders, ...searched()].find((folder) => isProgram(join(folder, 'initdb')));
}

/**
 * Where pgbouncer is; undefined when it is nowhere.
 * @returns {string | undefined}
 */
export function findPgbouncer() {
  return searched()
    .map((folder) => join(folder, 'pgbouncer'))
    .find(isProgram);
}

/**
 * The programs of MariaDB; undefined when there are none.
 * @returns {{ server: string, install: string } | undefined}
 */
export function findMariadb() {
  const [server, install] = ['mariadbd', 'mariadb-install-db'].map((name) =>
    searched()
      .map((folder) => join(folder, name))
      .find(isProgram),
  );
  return server && install ? { server, install } : undefined;
}

/**
 * A MySQL server for tests, where somebody may do everything; undefined when none is given.
 * @returns {string | undefined}
 */
export function mysqlUrl() {
  const given = process.env['INTERLOCK_MYSQL_URL'];
  if (!given) return undefined;
  if (URL.canParse(given) && new URL(given).protocol === 'mysql:') return given;
  throw new Error(
    'INTERLOCK_MYSQL_URL is no URL of a MySQL server, as in mysql://root:secret@127.0.0.1:3306.',
  );
}

/**
 * What a run leaves untried, for people; undefined when nothing.
 * @returns {string | undefined}
 */
export function untried() {
  if (mysqlUrl()) return undefined;
  return 'MySQL itself was not tried, MariaDB was: name a MySQL server for tests in INTERLOCK_MYSQL_URL, as in mysql://root:secret@127.0.0.1:3306.';
}

/** Some tests set the clock of a server, by a piece of C that they compile. */
function hasCompiler() {
  return searched().some((folder) =>
    ['cc', 'gcc', 'clang', 'tcc'].some((compiler) => isProgram(join(folder, compiler))),
  );
}

/** @param {string[]} args */
function aptGet(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const { status, stderr } = spawnSync('apt-get', ['-q', '-y', ...args], { env, encoding: 'utf8' });
  if (status !== 0)
    throw new Error(
      `apt-get ${args.join(' ')} failed: ${stderr.trim()}\nInstall redis-server, postgresql, pgbouncer and mariadb-server.`,
    );
}

/** Leaves no service running, and the machine's own policy as it was. */
function installForDebian() {
  const isOurs = !existsSync(POLICY);
  if (isOurs) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    aptGet('update');
    const packages = ['redis-server', 'postgresql', 'pgbouncer', 'mariadb-server', 'gcc', 'libc6-dev'];
    aptGet('install', '--no-install-recommends', ...packages);
  } finally {
    if (isOurs) rmSync(POLICY, { force: true });
  }
}

/**
 * Makes sure that the programs are there.
 * @returns {Promise<void>}
 */
export async function ensureServers() {
  if (findRedisServer() && findPostgres() && findPgbouncer() && findMariadb() && hasCompiler()) return;
  const mayInstall = process.getuid?.() === 0 && ['/usr/bin/apt-get', '/bin/apt-get'].some(isProgram);
  if (mayInstall) installForDebian();
  if (!findRedisServer()) throw new Error(ADVICE);
  if (!findPostgres()) throw new Error(POSTGRES_ADVICE);
  if (!findMariadb()) throw new Error(MARIADB_ADVICE);
  if (!findPgbouncer()) throw new Error(PGBOUNCER_ADVICE);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await ensureServers();
  console.log([findRedisServer(), findPostgres(), findPgbouncer(), findMariadb()?.server].join('\n'));
}
