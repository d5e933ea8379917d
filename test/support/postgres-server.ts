import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { findPostgres } from '../../scripts/servers.mjs';
import { asUser, freePort, GuardedProcess } from './guarded-process.js';

const BOOT_LIMIT_MS = 20_000;
const CALL_LIMIT_MS = 1_000;
const USER = 'postgres';

const run = promisify(execFile);

/** A real PostgreSQL server on a free port and in a scratch folder. */
export class PostgresServer implements AsyncDisposable {
  private process: GuardedProcess | undefined;

  private constructor(
    readonly port: number,
    private readonly folder: string,
    private readonly settings: readonly string[],
  ) {}

  /** @param settings as in `max_connections=20` */
  static async start(...settings: string[]): Promise<PostgresServer> {
    const folder = await mkdtemp(join(tmpdir(), 'interlock-postgres-'));
    if (process.getuid?.() === 0) await run('chown', [USER, folder]);
    const initdb = [
      '-A',
      'trust',
      '-U',
      USER,
      '-E',
      'UTF8',
      '--locale=C.UTF-8',
      '--no-sync',
      '-D',
      join(folder, 'data'),
    ];
    await run(...asUser(USER, program('initdb'), initdb), { cwd: folder });
    const server = new PostgresServer(await freePort(), folder, settings);
    await server.boot();
    return server;
  }

  get url(): string {
    return this.urlOf(USER);
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get alive(): boolean {
    return this.process !== undefined;
  }

  /** Of the server, and of what it made for each connection. */
  get processIds(): readonly number[] {
    if (!this.process) return [];
    const { processId } = this.process;
    try {
      const children = readFileSync(`/proc/${processId}/task/${processId}/children`, 'utf8');
      return [processId, ...children.trim().split(' ').map(Number)];
    } catch {
      return [processId];
    }
  }

  urlOf(user: string, database = 'postgres'): string {
    return `postgres://${user}@127.0.0.1:${this.port}/${database}`;
  }

  /** One statement, over a connection of its own; rejects after a second without an answer. */
  async query(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    const client = new pg.Client({
      connectionString: this.url,
      connectionTimeoutMillis: CALL_LIMIT_MS,
      query_timeout: CALL_LIMIT_MS,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      const { rows } = await client.query<Record<string, unknown>>(text, values);
      return rows;
    } finally {
      await client.end();
    }
  }

  /** Ends all connections but our own, or those whose last statement is like that. */
  async terminate(like = '%'): Promise<number> {
    const rows = await this.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND query LIKE $1`,
      [like],
    );
    return rows.length;
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

  /** Comes back as from a backup, which takes a second or two; until then it turns everybody away. */
  async restartSlowly(): Promise<void> {
    await this.kill();
    await writeFile(join(this.folder, 'data', 'recovery.signal'), '');
    await this.boot('restore_command=sleep 0.4; false');
  }

  /** Removes all rows of the locks, as a person might. */
  async wipe(name = 'interlock'): Promise<void> {
    await this.query(`TRUNCATE ${name}_lock, ${name}_holder, ${name}_waiter, ${name}_gone`);
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
    const settings = [
      `port=${this.port}`,
      'listen_addresses=127.0.0.1',
      'unix_socket_directories=',
      'max_connections=300',
      // what a killed process has written the system still has
      'fsync=off',
      ...this.settings,
      ...more,
    ];
    const given = ['-D', join(this.folder, 'data'), ...settings.flatMap((setting) => ['-c', setting])];
    this.process = await GuardedProcess.start(this.folder, ...asUser(USER, program('postgres'), given));
    const endMs = performance.now() + BOOT_LIMIT_MS;
    while (!(await this.answers())) {
      if (performance.now() > endMs) {
        const log = await readFile(join(this.folder, 'server.log'), 'utf8').catch(() => '');
        await this.stop();
        throw new Error(`PostgreSQL did not start:\n${log}`);
      }
      await sleep(20);
    }
  }

  private async answers(): Promise<boolean> {
    return this.query('SELECT 1').then(
      () => true,
      () => false,
    );
  }
}

function program(name: string): string {
  const folder = findPostgres();
  if (!folder) throw new Error('PostgreSQL is missing: run `node scripts/servers.mjs`.');
  return join(folder, name);
}
