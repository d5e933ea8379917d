import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { findMariadb } from '../../scripts/servers.mjs';
import { asUser, freePort, GuardedProcess } from './guarded-process.js';
import { queryMysql, terminateMysql, wipeMysql, type Rows } from './mysql-database.js';

const BOOT_LIMIT_MS = 30_000;
const USER = 'mysql';
const DATABASE = 'locks';

const run = promisify(execFile);

/** A real MariaDB server on a free port and in a scratch folder. */
export class MariadbServer implements AsyncDisposable {
  private process: GuardedProcess | undefined;

  private constructor(
    readonly port: number,
    private readonly folder: string,
    private readonly settings: readonly string[],
  ) {}

  /** @param settings as in `--max-connections=20` */
  static async start(...settings: string[]): Promise<MariadbServer> {
    const folder = await mkdtemp(join(tmpdir(), 'interlock-mariadb-'));
    if (process.getuid?.() === 0) await run('chown', [USER, folder]);
    const install = [
      '--no-defaults',
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
      `--datadir=${join(folder, 'data')}`,
      // a server that starts removes what it takes for left-overs, also of others
      `--tmpdir=${folder}`,
    ];
    await run(...asUser(USER, programs().install, install), { cwd: folder });
    const server = new MariadbServer(await freePort(), folder, settings);
    await server.boot();
    await server.query(`CREATE DATABASE ${DATABASE}`, 'mysql');
    return server;
  }

  get url(): string {
    return this.urlOf('root');
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get alive(): boolean {
    return this.process !== undefined;
  }

  /** Of its threads, each of which the system counts by itself. */
  get processIds(): readonly number[] {
    if (!this.process) return [];
    const { processId } = this.process;
    try {
      return readdirSync(`/proc/${processId}/task`).map(Number);
    } catch {
      return [processId];
    }
  }

  /** @param user also as in `name:password` */
  urlOf(user: string, database = DATABASE): string {
    return `mysql://${user}@127.0.0.1:${this.port}/${database}`;
  }

  /** One statement, over a connection of its own; rejects after a second without an answer, or `limitMs`. */
  query(sql: string, database = DATABASE, limitMs?: number): Promise<Rows> {
    return queryMysql(this.urlOf('root', database), sql, limitMs);
  }

  /** Ends all connections but our own. */
  terminate(): Promise<number> {
    return terminateMysql((sql) => this.query(sql), DATABASE);
  }

  /** Stops answering, with all connections left open. */
  freeze(): Promise<void> {
    return this.running.freeze();
  }

  thaw(): Promise<void> {
    return this.running.thaw();
  }

  /** Ends at once, as in a crash. */
  async kill(): Promise<void> {
    await this.process?.kill();
    this.process = undefined;
  }

  /** Comes back on the same port, with what was committed. */
  async restart(): Promise<void> {
    await this.kill();
    await this.boot();
  }

  /** Comes back, and has something to do for two seconds before it greets those who connect. */
  async restartSlowly(): Promise<void> {
    await this.kill();
    const file = join(this.folder, 'first.sql');
    await writeFile(file, 'DO SLEEP(2);\n');
    await this.boot(`--init-file=${file}`);
  }

  /** Removes all rows of the locks, as a person might. */
  wipe(name?: string): Promise<void> {
    return wipeMysql((sql) => this.query(sql), name);
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  private get running(): GuardedProcess {
    if (!this.process) throw new Error('the server is not running');
    return this.process;
  }

  private async boot(...more: readonly string[]): Promise<void> {
    const given = [
      '--no-defaults',
      `--datadir=${join(this.folder, 'data')}`,
      `--tmpdir=${this.folder}`,
      `--port=${this.port}`,
      '--bind-address=127.0.0.1',
      `--socket=${join(this.folder, 'socket')}`,
      `--pid-file=${join(this.folder, 'pid')}`,
      '--max-connections=300',
      '--innodb-buffer-pool-size=64M',
      // what a killed process has written the system still has
      '--innodb-flush-log-at-trx-commit=2',
      ...this.settings,
      ...more,
    ];
    this.process = await GuardedProcess.start(this.folder, ...asUser(USER, programs().server, given));
    const endMs = performance.now() + BOOT_LIMIT_MS;
    while (!(await this.answers())) {
      if (performance.now() > endMs) {
        const log = await readFile(join(this.folder, 'server.log'), 'utf8').catch(() => '');
        await this.stop();
        throw new Error(`MariaDB did not start:\n${log}`);
      }
      await sleep(30);
    }
  }

  private async answers(): Promise<boolean> {
    return this.query('SELECT 1', 'mysql').then(
      () => true,
      () => false,
    );
  }
}

function programs(): { readonly server: string; readonly install: string } {
  const found = findMariadb();
  if (!found) throw new Error('MariaDB is missing: run `node scripts/servers.mjs`.');
  return found;
}
