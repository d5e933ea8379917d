import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import knex from 'knex';
import { createPool, type ResultSetHeader } from 'mysql2/promise';
import { fenceGuard, mysql } from '../../lib/backends/mysql/index.js';
import { Locks } from '../../lib/core/locks.js';
import { MYSQL_WORLDS } from '../support/mysql-by-url.js';
import { MysqlTrial } from '../support/mysql-trial.js';
import { busy, failureOf, granted, until, waitFor } from '../support/redis-trial.js';

const HOUR_US = 3_600_000_000n;

describe.each(MYSQL_WORLDS)('the rows that locks in a database of $name are', ({ start }) => {
  let trial: MysqlTrial;
  beforeAll(async () => {
    trial = new MysqlTrial(await start());
    await trial.connect();
  });
  afterEach(async () => {
    await trial.stopAll();
    await trial.server.wipe();
  });
  afterAll(() => trial.close());

  const count = async (table: string): Promise<number> => {
    const [row] = await trial.server.query(`SELECT COUNT(*) AS n FROM interlock_${table}`);
    return Number(row?.['n']);
  };

  it('[48] may be deleted by hand: the holder is told, the next has a higher fence, and no orphans stay', async () => {
    const { backend } = await trial.connect();
    const grant = await granted(backend, trial.claim());
    const reader = await granted(backend, trial.claim({ key: 'trial:shared', mode: 'shared' }));
    await busy(backend, trial.claim({ queue: true }));
    await trial.server.query('DELETE FROM interlock_lock');
    expect(await backend.renew([grant, reader])).toEqual(['gone', 'gone']);
    expect([await count('holder'), await count('waiter')]).toEqual([0, 0]);
    expect((await granted(backend, trial.claim())).fence).toBeGreaterThan(grant.fence);
  });

  it.each([
    { what: 'were looked at by the sweep', harm: "CALL interlock_sweep_v1('', 100)" },
    { what: 'were deleted by hand', harm: 'DELETE FROM interlock_lock' },
  ])('[11] refuse a claim that arrives after it was abandoned, though they $what', async ({ harm }) => {
    const { backend } = await trial.connect();
    const { backend: another } = await trial.connect();
    await another.release(await granted(another, trial.claim()));
    const late = trial.claim();
    await backend.abandon(late);
    await trial.server.query(harm);
    for (let n = 0; n < 2; n++) await backend.release(await granted(backend, trial.claim()));
    // that client had the key, and has heard nothing of it since
    expect(await failureOf(another.claim(late))).toMatchObject({ certainty: 'denied' });
    expect(await backend.inspect('trial:key')).toBeNull();
  });

  it('[11] are simple again when the marks of those who gave up are over', async () => {
    const { backend } = await trial.connect();
    const crowded = async (): Promise<unknown> =>
      (await trial.server.query('SELECT crowded FROM interlock_lock'))[0]?.['crowded'];
    await backend.abandon(trial.claim());
    await backend.release(await granted(backend, trial.claim()));
    expect(await crowded()).toBe(1);
    await trial.server.query('UPDATE interlock_gone SET until = 1');
    await backend.release(await granted(backend, trial.claim()));
    expect(await crowded()).toBe(0);
  });

  it('[37] do not keep a dead head of the line alive when the clock of the server is set back', async () => {
    const { backend } = await trial.connect();
    const holder = await granted(backend, trial.claim());
    await busy(backend, trial.claim({ queue: true }));
    await trial.server.query(`UPDATE interlock_waiter SET seen_at = seen_at + ${HOUR_US}`);
    await backend.release(holder);
    const startMs = performance.now();
    await waitFor(backend, trial.claim({ queue: true }));
    expect(performance.now() - startMs).toBeLessThan(3_000);
  });

  it('[48] are swept when they were idle for an hour, never while somebody holds or waits, and leave their fence', async () => {
    const { backend } = await trial.connect();
    let newest = 0n;
    for (let n = 0; n < 50; n++) {
      const grant = await granted(backend, trial.claim({ key: `trial:${n}` }));
      newest = grant.fence;
      await backend.release(grant);
    }
    await granted(backend, trial.claim({ key: 'trial:held' }));
    await granted(backend, trial.claim({ key: 'trial:read', mode: 'shared' }));
    await granted(backend, trial.claim({ key: 'trial:waited' }));
    await busy(backend, trial.claim({ key: 'trial:waited', queue: true }));
    await trial.server.query(`UPDATE interlock_lock SET fence = fence - ${2n * HOUR_US}`);
    for (let n = 0; n < 320; n++)
      await backend.release(await granted(backend, trial.claim({ key: 'trial:busy' })));
    await until(async () => (await count('lock')) === 4, 'the sweep');
    const left = await trial.server.query('SELECT `key` FROM interlock_lock ORDER BY `key`');
    expect(left.map(({ key }) => key)).toEqual(['trial:busy', 'trial:held', 'trial:read', 'trial:waited']);
    const [floor] = await trial.server.query('SELECT CAST(fence AS CHAR) AS fence FROM interlock_floor');
    // rows of earlier tests may have been swept as well
    expect(BigInt(String(floor?.['fence']))).toBeGreaterThanOrEqual(newest - 2n * HOUR_US);
  });

  it('[47] guard a write of the same database, by mysql2 and by Knex, and keep the lock until its transaction ends', async () => {
    const pool = createPool({ uri: trial.server.url });
    const builder = knex({ client: 'mysql2', connection: trial.server.url });
    const locks = new Locks(mysql(trial.server.url));
    await locks.start();
    await pool.query('CREATE TABLE orders (id INT PRIMARY KEY, state VARCHAR(20))');
    await pool.query(`INSERT INTO orders VALUES (1, 'new')`);
    for (const options of [{}, { mode: 'shared' }, { permits: 3 }] as const) {
      const lease = await locks.acquire("it's:id?", options);
      const update = (state: string): Promise<[ResultSetHeader, unknown]> =>
        pool.query<ResultSetHeader>(`UPDATE orders SET state = ? WHERE id = ? AND ${fenceGuard(lease)}`, [
          state,
          1,
        ]);
      expect((await update('paid'))[0].affectedRows).toBe(1);
      const changed = await builder.transaction((trx) =>
        trx('orders').where({ id: 1 }).whereRaw(fenceGuard(lease)).update({ state: 'sent' }),
      );
      expect(changed).toBe(1);
      await lease.release();
      expect((await update('late'))[0].affectedRows).toBe(0);
    }
    const lease = await locks.acquire('k', { ttl: 300, renew: false });
    const connection = await pool.getConnection();
    await connection.query('BEGIN');
    await connection.query(`UPDATE orders SET state = 'held' WHERE id = 1 AND ${fenceGuard(lease)}`);
    let taken = false;
    const next = locks.acquire('k', { wait: '10s' }).then((other) => {
      taken = true;
      return other;
    });
    await sleep(600);
    expect(taken).toBe(false);
    await connection.query('COMMIT');
    connection.release();
    await (await next).release();
    await locks.stop();
    await builder.destroy();
    await pool.end();
  });
});
