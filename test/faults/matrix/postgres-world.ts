import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Pgbouncer } from '../../support/pgbouncer.js';
import { PostgresServer } from '../../support/postgres-server.js';
import { sqlLeftovers } from '../../support/sql-leftovers.js';
import { PostgresLine } from '../../support/sql-line.js';
import { PREFIX } from './company.js';
import { nowMs } from './monotonic.js';
import type { Road } from './road.js';
import { SqlRoad } from './sql-road.js';
import { DISCONNECTED, SqlWorld, USER, type Undo } from './sql-world.js';
import type { Denial } from './world.js';

const POOL = 10;
/** For a new setting to be in force. */
const RELOAD_MS = 5_000;

/** One PostgreSQL server; where a pooler is wanted, pgbouncer is before it. */
export class PostgresWorld extends SqlWorld<pg.Client> {
  readonly letter = 'P';
  readonly kind = 'postgres';
  readonly isPolled = false;
  /** The pool, and the one that listens. */
  readonly connections = POOL + 1;
  /** The pool closes what was idle for long. */
  readonly idleTimers = POOL;
  private bouncer: Pgbouncer | undefined;

  private constructor(private readonly database: PostgresServer) {
    super(database);
  }

  static async start(): Promise<PostgresWorld> {
    const database = await PostgresServer.start();
    await database.query(`CREATE ROLE ${USER} LOGIN`);
    await database.query(`GRANT CREATE ON SCHEMA public TO ${USER}`);
    return new PostgresWorld(database);
  }

  async pooledRoad(): Promise<Road> {
    this.bouncer ??= await Pgbouncer.start(this.database);
    return this.roadTo(this.bouncer.port);
  }

  async leftovers(stem: string): Promise<string[]> {
    const rows = await sqlLeftovers((text) => this.database.query(text));
    return rows.filter((row) => row.includes(stem));
  }

  get denials(): readonly Denial[] {
    return [
      this.denial('read-only', /takes no writes/, (admin) =>
        this.setting(admin, 'default_transaction_read_only', 'on'),
      ),
      this.denial('no permission', /is not allowed to/, async (admin) => {
        const tables = 'ALL ON ALL TABLES IN SCHEMA public';
        await admin.query(`REVOKE ${tables} FROM ${USER}`);
        return () => admin.query(`GRANT ${tables} TO ${USER}`);
      }),
      this.denial('no tables', /tables of the locks are missing/, async (admin) => {
        await admin.query('ALTER TABLE interlock_lock RENAME TO elsewhere');
        return () => admin.query('ALTER TABLE elsewhere RENAME TO interlock_lock');
      }),
      this.denial('statement timeout', /took longer than the statement_timeout/, async (admin) => {
        const reset = await this.setting(admin, 'statement_timeout', '100ms');
        await admin.query('BEGIN; LOCK TABLE interlock_lock IN ACCESS EXCLUSIVE MODE');
        return async () => {
          await admin.query('ROLLBACK');
          await reset();
        };
      }),
      this.denial('connection limit', new RegExp(`as many connections|${DISCONNECTED}`), async (admin) => {
        await admin.query(`ALTER ROLE ${USER} CONNECTION LIMIT 0`);
        await this.throwOut(admin);
        return () => admin.query(`ALTER ROLE ${USER} CONNECTION LIMIT -1`);
      }),
      this.denial('no login', new RegExp(`user name or the password|${DISCONNECTED}`), async (admin) => {
        await admin.query(`ALTER ROLE ${USER} NOLOGIN`);
        await this.throwOut(admin);
        return () => admin.query(`ALTER ROLE ${USER} LOGIN`);
      }),
    ];
  }

  override async stop(): Promise<void> {
    await this.bouncer?.stop();
    await super.stop();
  }

  protected makeRoad(): Promise<SqlRoad> {
    return this.roadTo(this.database.port);
  }

  protected async forget(key: string): Promise<void> {
    await this.database.query('DELETE FROM interlock_lock WHERE key = $1', [`${PREFIX}:${key}`]);
  }

  /** The row of the lock, or the whole table, as by a migration. */
  protected async lockUp(admin: pg.Client, key: string, nth: number): Promise<void> {
    await admin.query('BEGIN');
    if (nth % 2 === 1) return void (await admin.query('LOCK TABLE interlock_lock IN ACCESS EXCLUSIVE MODE'));
    const row = 'SELECT 1 FROM interlock_lock WHERE key = $1 FOR UPDATE';
    const { rowCount } = await admin.query(row, [`${PREFIX}:${key}`]);
    if (rowCount !== 1) throw new Error(`there is no row of ${key}`);
  }

  private roadTo(port: number): Promise<SqlRoad> {
    return SqlRoad.to(port, PostgresLine, (wirePort) => `postgres://${USER}@127.0.0.1:${wirePort}/postgres`);
  }

  /** For all connections but the one that sets it. */
  private async setting(admin: pg.Client, name: string, value: string): Promise<Undo> {
    const before = await this.seen(name);
    await admin.query(`SET ${name} = DEFAULT`);
    await admin.query(`ALTER SYSTEM SET ${name} = '${value}'`);
    await this.reload(admin, name, value);
    return async () => {
      await admin.query(`ALTER SYSTEM RESET ${name}`);
      await this.reload(admin, name, before);
    };
  }

  /** The server reads its settings when it gets to it: whoever comes in behind that is proof, for those inside too. */
  private async reload(admin: pg.Client, name: string, value: string): Promise<void> {
    await admin.query('SELECT pg_reload_conf()');
    const endMs = nowMs() + RELOAD_MS;
    while ((await this.seen(name)) !== value) {
      if (nowMs() > endMs) throw new Error(`${name} is not ${value} ${RELOAD_MS} ms after a reload`);
      await sleep(10);
    }
  }

  /** The value that a new connection finds. */
  private async seen(name: string): Promise<string> {
    const visitor = await this.connect();
    try {
      const { rows } = await visitor.query<{ value: string }>('SELECT current_setting($1) AS value', [name]);
      return rows[0]?.value ?? '';
    } finally {
      await visitor.end();
    }
  }

  private async throwOut(admin: pg.Client): Promise<void> {
    await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [USER]);
  }

  protected async connect(): Promise<pg.Client> {
    const admin = new pg.Client({ connectionString: this.database.url });
    admin.on('error', () => undefined);
    await admin.connect();
    return admin;
  }
}
