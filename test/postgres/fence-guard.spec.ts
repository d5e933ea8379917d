import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import knex, { type Knex } from 'knex';
import pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { fenceGuard, postgres } from '../../lib/backends/postgres/index.js';
import { Locks } from '../../lib/core/locks.js';
import { PostgresServer } from '../support/postgres-server.js';

describe('[47] a write that is guarded in the database of the locks', () => {
  let server: PostgresServer;
  let pool: pg.Pool;
  let builder: Knex;
  let locks: Locks;
  beforeAll(async () => {
    server = await PostgresServer.start();
    pool = new pg.Pool({ connectionString: server.url });
    builder = knex({ client: 'pg', connection: server.url });
    locks = new Locks(postgres(server.url));
    await locks.start();
    await pool.query(`CREATE TABLE orders (id integer PRIMARY KEY, state text, seen integer DEFAULT 0)`);
  });
  afterEach(() => pool.query('DELETE FROM orders'));
  afterAll(async () => {
    await locks.stop();
    await builder.destroy();
    await pool.end();
    await server.stop();
  });

  const pay = async (id: number, condition: string): Promise<number | null> => {
    await pool.query(`INSERT INTO orders (id, state) VALUES ($1, 'new') ON CONFLICT DO NOTHING`, [id]);
    const { rowCount } = await pool.query(`UPDATE orders SET state = 'paid' WHERE id = $1 AND ${condition}`, [
      id,
    ]);
    return rowCount;
  };

  it.each([
    ['alone', {}],
    ['together with other readers', { mode: 'shared' }],
    ['by permits', { permits: 3, take: 2 }],
  ] as const)('is done while the lock is held, %s, and not after it was released', async (_, options) => {
    const lease = await locks.acquire('order:1', options);
    expect(await pay(1, fenceGuard(lease))).toBe(1);
    await lease.release();
    expect(await pay(1, fenceGuard(lease))).toBe(0);
  });

  it('is not done for a stale holder, whoever holds the lock now, and is for the new one', async () => {
    const stale = await locks.acquire('order:2', { ttl: 100, renew: false });
    await sleep(130);
    expect(await pay(2, fenceGuard(stale))).toBe(0);
    const next = await locks.acquire('order:2');
    expect(await pay(2, fenceGuard(stale))).toBe(0);
    expect(await pay(2, fenceGuard(next))).toBe(1);
    expect(await pay(2, fenceGuard({ key: 'order:3', fence: next.fence }))).toBe(0);
    await next.release();
  });

  it('keeps the lock from being taken over until its transaction has ended', async () => {
    const lease = await locks.acquire('order:4', { ttl: 300, renew: false });
    await pay(4, 'true');
    const client = await pool.connect();
    await client.query('BEGIN');
    const guarded = `UPDATE orders SET seen = 1 WHERE id = 4 AND ${fenceGuard(lease)}`;
    expect((await client.query(guarded)).rowCount).toBe(1);
    const next = locks.acquire('order:4', { wait: '5s' });
    await sleep(500);
    expect((await client.query<{ state: string }>('SELECT * FROM orders WHERE id = 4')).rows).toEqual([
      { id: 4, state: 'paid', seen: 1 },
    ]);
    await client.query('COMMIT');
    const committedMs = performance.now();
    client.release();
    const lease2 = await next;
    expect(performance.now() - committedMs).toBeLessThan(2_000);
    expect(lease2.fence).toBeGreaterThan(lease.fence);
    await lease2.release();
  });

  it('works in a transaction of Knex, with odd keys', async () => {
    await builder('orders').insert({ id: 5, state: 'new' });
    for (const key of ["it's:id?", 'order:id', 'a:b::c', 'é'.repeat(300)]) {
      const lease = await locks.acquire(key);
      const changed = await builder.transaction((trx) =>
        trx('orders').where({ id: 5 }).whereRaw(fenceGuard(lease)).update({ state: 'paid' }),
      );
      expect(changed).toBe(1);
      await lease.release();
      expect(await builder('orders').where('id', 5).whereRaw(fenceGuard(lease)).update({ state: 'x' })).toBe(
        0,
      );
    }
  });

  it('has nothing in it that a query builder would take for a parameter', () => {
    const guard = fenceGuard(
      { key: 'order:id', fence: 7n },
      { prefix: 'shop', schema: 'locks', name: 'seats' },
    );
    expect(guard).toContain(
      `"locks"."seats_lock" WHERE key = ('shop' || chr(58) || 'order' || chr(58) || 'id')`,
    );
    expect(guard).not.toMatch(/[:?$@]/);
  });

  it('is found by the index of the key', async () => {
    const { rows } = await pool.query<Record<string, string>>(
      `EXPLAIN SELECT ${fenceGuard({ key: 'k', fence: 1n })}`,
    );
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    expect(plan).toContain('interlock_lock_pkey');
  });
});
