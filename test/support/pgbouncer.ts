import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { findPgbouncer } from '../../scripts/servers.mjs';
import { asUser, freePort, GuardedProcess } from './guarded-process.js';
import type { PostgresServer } from './postgres-server.js';

const BOOT_LIMIT_MS = 10_000;

/** A pooler before a PostgreSQL server, which hands each transaction to whichever connection is free. */
export class Pgbouncer implements AsyncDisposable {
  private constructor(
    readonly port: number,
    private readonly folder: string,
    private readonly process: GuardedProcess,
  ) {}

  static async start(server: PostgresServer, connections = 5): Promise<Pgbouncer> {
    const program = findPgbouncer();
    if (!program) throw new Error('pgbouncer is missing: run `node scripts/servers.mjs`.');
    const folder = await mkdtemp(join(tmpdir(), 'interlock-pgbouncer-'));
    const port = await freePort();
    const configuration = [
      '[databases]',
      `* = host=127.0.0.1 port=${server.port} user=postgres`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = any',
      'pool_mode = transaction',
      `default_pool_size = ${connections}`,
    ];
    await writeFile(join(folder, 'pgbouncer.ini'), configuration.join('\n'));
    if (process.getuid?.() === 0) await promisify(execFile)('chown', ['-R', 'postgres', folder]);
    const guarded = await GuardedProcess.start(
      folder,
      ...asUser('postgres', program, [join(folder, 'pgbouncer.ini')]),
    );
    const bouncer = new Pgbouncer(port, folder, guarded);
    await bouncer.becomesReady();
    return bouncer;
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`;
  }

  async stop(): Promise<void> {
    await this.process.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  private async becomesReady(): Promise<void> {
    const endMs = performance.now() + BOOT_LIMIT_MS;
    for (;;) {
      const client = new pg.Client({ connectionString: this.url });
      client.on('error', () => undefined);
      const up = await client.connect().then(
        () => true,
        () => false,
      );
      await client.end();
      if (up) return;
      if (performance.now() > endMs) {
        const log = await readFile(join(this.folder, 'server.log'), 'utf8').catch(() => '');
        await this.stop();
        throw new Error(`pgbouncer did not start:\n${log}`);
      }
      await sleep(20);
    }
  }
}
