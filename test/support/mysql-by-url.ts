import { randomBytes } from 'node:crypto';
import { mysqlUrl } from '../../scripts/servers.mjs';
import { MariadbServer } from './mariadb-server.js';
import { queryMysql, terminateMysql, wipeMysql, type Rows } from './mysql-database.js';

/** The server that `INTERLOCK_MYSQL_URL` names, and a database of our own on it. */
export class MysqlByUrl {
  private constructor(
    private readonly given: URL,
    private readonly database: string,
  ) {}

  static async start(given: string): Promise<MysqlByUrl> {
    const server = new MysqlByUrl(new URL(given), `interlock_${randomBytes(6).toString('hex')}`);
    await server.query(`CREATE DATABASE ${server.database}`, 'mysql');
    return server;
  }

  get port(): number {
    return Number(this.given.port || 3306);
  }

  get address(): string {
    return `${this.given.hostname}:${this.port}`;
  }

  get url(): string {
    return this.with(this.database);
  }

  /** @param user with the password, as in `ann:secret`; 'root' for the user whom the URL names */
  urlOf(user: string, database = this.database): string {
    const url = new URL(this.with(database));
    if (user !== 'root') [url.username = '', url.password = ''] = user.split(':');
    return url.href;
  }

  query(sql: string, database = this.database, limitMs?: number): Promise<Rows> {
    return queryMysql(this.with(database), sql, limitMs);
  }

  terminate(): Promise<number> {
    return terminateMysql((sql) => this.query(sql), this.database);
  }

  wipe(name?: string): Promise<void> {
    return wipeMysql((sql) => this.query(sql), name);
  }

  async stop(): Promise<void> {
    await this.query(`DROP DATABASE ${this.database}`, 'mysql', 60_000);
  }

  private with(database: string): string {
    const url = new URL(this.given);
    url.pathname = `/${database}`;
    return url.href;
  }
}

export interface MysqlWorld {
  readonly name: string;
  /** @param settings for a server of our own, as in `--max-connections=20` */
  start(...settings: string[]): Promise<MariadbServer | MysqlByUrl>;
}

const url = mysqlUrl();

/** Where what may differ between MariaDB and MySQL is tried: a run without the second says so at its end. */
export const MYSQL_WORLDS: readonly MysqlWorld[] = [
  { name: 'MariaDB', start: (...settings) => MariadbServer.start(...settings) },
  ...(url === undefined
    ? []
    : [{ name: 'the MySQL of INTERLOCK_MYSQL_URL', start: () => MysqlByUrl.start(url) }]),
];
