import { postgres } from '../../lib/backends/postgres/index.js';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { BackendTrial, type Client } from './backend-trial.js';
import { PostgresServer } from './postgres-server.js';

/** One PostgreSQL server, and backends on it. */
export class PostgresTrial extends BackendTrial {
  private constructor(readonly server: PostgresServer) {
    super();
  }

  static async open(...settings: string[]): Promise<PostgresTrial> {
    return new PostgresTrial(await PostgresServer.start(...settings));
  }

  connect(backend: LockBackend = postgres(this.server.url)): Promise<Client> {
    return this.start(backend);
  }

  async close(): Promise<void> {
    await this.stopAll();
    await this.server.stop();
  }

  /** How many connections there are to the server, apart from the one that asks. */
  async connections(): Promise<number> {
    const [row] = await this.server.query(
      `SELECT count(*)::integer AS n FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`,
    );
    return Number(row?.['n']);
  }
}
