import type { Claim, LockBackend } from '../../lib/backends/lock-backend.js';
import { SystemClock } from '../../lib/core/clock.js';

/** A backend that was started, and what it told its core. */
export interface Client {
  readonly backend: LockBackend;
  readonly doubts: (string | undefined)[];
  readonly reports: Error[];
}

/** Backends that a test started, whatever is behind them, and claims of their own. */
export class BackendTrial {
  readonly clock = new SystemClock();
  private readonly clients: Client[] = [];
  private owners = 0;

  async start(backend: LockBackend): Promise<Client> {
    const client: Client = { backend, doubts: [], reports: [] };
    await backend.start({
      clock: this.clock,
      identity: 'trial',
      doubt: (owner) => void client.doubts.push(owner),
      report: (error) => void client.reports.push(error),
    });
    this.clients.push(client);
    return client;
  }

  claim(given: Partial<Claim> = {}): Claim {
    const owner = `owner-${++this.owners}`;
    const of = given.mode === 'shared' ? 0 : 1;
    return { key: 'trial:key', owner, mode: 'exclusive', take: 1, of, ttlMs: 20_000, queue: false, ...given };
  }

  async stopAll(): Promise<void> {
    await Promise.all(this.clients.splice(0).map(({ backend }) => backend.stop()));
  }
}
