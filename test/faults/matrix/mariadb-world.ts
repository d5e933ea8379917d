import { createConnection, type Connection } from 'mysql2/promise';
import { MariadbServer } from '../../support/mariadb-server.js';
import { mysqlLeftovers } from '../../support/sql-leftovers.js';
import { MysqlLine } from '../../support/sql-line.js';
import { PREFIX } from './company.js';
import { SqlRoad } from './sql-road.js';
import { DISCONNECTED, SqlWorld, USER } from './sql-world.js';
import type { Denial } from './world.js';

const FROM_HERE = `${USER}@'127.0.0.1'`;

/** One MariaDB server. */
export class MariadbWorld extends SqlWorld<Connection> {
  readonly letter = 'Y';
  readonly kind = 'mysql';
  readonly isPolled = true;
  readonly connections = 10;
  readonly idleTimers = 0;

  private constructor(private readonly database: MariadbServer) {
    super(database);
  }

  static async start(): Promise<MariadbWorld> {
    const database = await MariadbServer.start();
    await database.query(`CREATE USER ${FROM_HERE}`);
    await database.query(`GRANT ALL ON locks.* TO ${FROM_HERE}`);
    return new MariadbWorld(database);
  }

  async leftovers(stem: string): Promise<string[]> {
    const rows = await mysqlLeftovers((text) => this.database.query(text));
    return rows.filter((row) => row.includes(stem));
  }

  get denials(): readonly Denial[] {
    return [
      this.denial('read-only', /takes no writes/, async (admin) => {
        await admin.query('SET GLOBAL read_only = ON');
        return () => admin.query('SET GLOBAL read_only = OFF');
      }),
      this.denial('no permission', new RegExp(`is not allowed to|${DISCONNECTED}`), async (admin) => {
        await admin.query(`REVOKE EXECUTE ON locks.* FROM ${FROM_HERE}`);
        // a connection knows its rights from its beginning
        await this.throwOut(admin);
        return async () => {
          await admin.query(`GRANT EXECUTE ON locks.* TO ${FROM_HERE}`);
          await this.throwOut(admin);
        };
      }),
      this.denial('no tables', /tables of the locks are missing/, async (admin) => {
        await admin.query('RENAME TABLE interlock_lock TO elsewhere');
        return () => admin.query('RENAME TABLE elsewhere TO interlock_lock');
      }),
      this.denial('connection limit', new RegExp(`as many connections|${DISCONNECTED}`), async (admin) => {
        await admin.query(`ALTER USER ${FROM_HERE} WITH MAX_USER_CONNECTIONS 1`);
        const only = await this.connect(USER);
        await this.throwOut(admin, only);
        return async () => {
          await admin.query(`ALTER USER ${FROM_HERE} WITH MAX_USER_CONNECTIONS 0`);
          only.destroy();
        };
      }),
      this.denial('no login', new RegExp(`user name or the password|${DISCONNECTED}`), async (admin) => {
        await admin.query(`ALTER USER ${FROM_HERE} ACCOUNT LOCK`);
        await this.throwOut(admin);
        return () => admin.query(`ALTER USER ${FROM_HERE} ACCOUNT UNLOCK`);
      }),
    ];
  }

  protected makeRoad(): Promise<SqlRoad> {
    return SqlRoad.to(this.database.port, MysqlLine, (port) => `mysql://${USER}@127.0.0.1:${port}/locks`);
  }

  protected async forget(key: string): Promise<void> {
    await this.database.query(`DELETE FROM interlock_lock WHERE \`key\` = '${PREFIX}:${key}'`);
  }

  /** The row of the lock, or the whole table, as by a dump. */
  protected async lockUp(admin: Connection, key: string, nth: number): Promise<void> {
    if (nth % 2 === 1) return void (await admin.query('LOCK TABLES interlock_lock WRITE'));
    await admin.query('START TRANSACTION');
    const row = 'SELECT 1 FROM interlock_lock WHERE `key` = ? FOR UPDATE';
    const [rows] = await admin.query(row, [`${PREFIX}:${key}`]);
    if ((rows as unknown[]).length !== 1) throw new Error(`there is no row of ${key}`);
  }

  private async throwOut(admin: Connection, butFor?: Connection): Promise<void> {
    const [rows] = await admin.query('SELECT id FROM information_schema.processlist WHERE user = ?', [USER]);
    for (const { id } of rows as { id: number }[])
      if (id !== butFor?.threadId) await admin.query(`KILL ${id}`).catch(() => undefined);
  }

  protected async connect(user = 'root'): Promise<Connection> {
    const connection = await createConnection(this.database.urlOf(user));
    connection.on('error', () => undefined);
    return connection;
  }
}
