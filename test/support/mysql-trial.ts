import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { mysql } from '../../lib/backends/mysql/index.js';
import { BackendTrial, type Client } from './backend-trial.js';
import { MariadbServer } from './mariadb-server.js';
import type { MysqlByUrl } from './mysql-by-url.js';

/** One MariaDB or MySQL server, and backends on it. */
export class MysqlTrial extends BackendTrial {
  constructor(readonly server: MariadbServer | MysqlByUrl) {
    super();
  }

  static async open(...settings: string[]): Promise<MysqlTrial> {
    return new MysqlTrial(await MariadbServer.start(...settings));
  }

  connect(backend: LockBackend = mysql(this.server.url)): Promise<Client> {
    return this.start(backend);
  }

  async close(): Promise<void> {
    await this.stopAll();
    await this.server.stop();
  }

  /** How many connections there are to the server, apart from the one that asks. */
  async connections(): Promise<number> {
    const [row] = await this.server.query(
      `SELECT COUNT(*) AS n FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND host <> ''`,
    );
    return Number(row?.['n']);
  }
}
