import { Inject, Injectable } from '@nestjs/common';
import { currentLease, Locked, LockService } from 'nestjs-interlock';
import { fenceGuard } from 'nestjs-interlock/postgres';
import type { Pool, PoolClient } from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { POOL, REPLICA } from './orders.tokens.js';

/** What becomes of an order: each is shipped once, by whichever replica comes first. */
@Injectable()
export class OrdersService {
  constructor(
    @Inject(POOL) private readonly pool: Pool,
    @Inject(REPLICA) private readonly replica: string,
    private readonly locks: LockService,
  ) {}

  /** @returns whether it was this replica that shipped it */
  @Locked('order:<id>', { wait: '20s', ttl: '5s' })
  async ship(id: number): Promise<boolean> {
    const lease = currentLease();
    if (!lease) throw new Error('@Locked holds a lease around this method');
    return this.inTransaction(async (client) => {
      const { rows } = await client.query<{ state: string }>('SELECT state FROM orders WHERE id = $1', [id]);
      if (rows[0]?.state !== 'new') return false;
      await sleep(Math.random() * 5);
      const changed = await this.markShipped(client, id, fenceGuard(lease));
      if (changed === 0) throw new Error(`The lock on order ${id} was lost before it was shipped.`);
      return true;
    });
  }

  /**
   * As a process would do that stands still for longer than its lease lasts, and then goes on as if nothing had been.
   *
   * @returns how many rows its late write has changed
   */
  async shipTooLate(id: number): Promise<number> {
    const lease = await this.locks.acquire(`order:${id}`, { ttl: 200, renew: false });
    await sleep(300);
    return this.inTransaction((client) => this.markShipped(client, id, fenceGuard(lease)));
  }

  private async markShipped(client: PoolClient, id: number, condition: string): Promise<number> {
    const { rowCount } = await client.query(
      `UPDATE orders SET state = 'shipped', by = $2, times = times + 1 WHERE id = $1 AND ${condition}`,
      [id, this.replica],
    );
    return rowCount ?? 0;
  }

  private async inTransaction<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    try {
      await client.query('BEGIN');
      const result = await work(client);
      await client.query('COMMIT');
      return result;
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    } finally {
      client.release();
    }
  }
}
