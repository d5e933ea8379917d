import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createConnection } from 'mysql2/promise';
import pg from 'pg';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { mysql } from '../../lib/backends/mysql/index.js';
import { postgres } from '../../lib/backends/postgres/index.js';
import type { Lease } from '../../lib/core/lease.js';
import { Locks } from '../../lib/core/locks.js';
import type { BackendTrial } from '../support/backend-trial.js';
import { MYSQL_WORLDS } from '../support/mysql-by-url.js';
import { MysqlTrial } from '../support/mysql-trial.js';
import { PostgresTrial } from '../support/postgres-trial.js';
import { busy, granted } from '../support/redis-trial.js';
import { MysqlLine, PostgresLine } from '../support/sql-line.js';
import { Wire, type LineKind } from '../support/wire.js';

/** A power of two, so that the table can be doubled until it is that long. */
const HISTORY = 2 ** 20;
const LEASES = 1_000;
const TICK_MS = 1_000;

const keyOf = (n: number): string => `history:${String(n).padStart(7, '0')}`;

/** Everything that a lock may ask of the database, on keys of the history. */
async function goThrough(trial: BackendTrial, backend: LockBackend): Promise<void> {
  for (const mode of ['exclusive', 'shared', 'permits'] as const) {
    const key = keyOf(700_000);
    const grant = await granted(backend, trial.claim({ key, mode }));
    const waiting = trial.claim({ key, queue: true });
    await busy(backend, waiting);
    expect(await backend.stay?.([waiting])).toEqual([false]);
    expect(await backend.renew([grant])).toEqual(['renewed']);
    expect(await backend.inspect(key)).toMatchObject({ waiting: 1 });
    await backend.abandon(waiting);
    expect(await backend.release(grant)).toBe('released');
    await granted(backend, trial.claim({ key: `new:${mode}` }));
    expect(await backend.evict(`new:${mode}`)).toBe(true);
  }
}

async function renewAThousand(trial: BackendTrial, backend: LockBackend): Promise<void> {
  const grants = [];
  for (let n = 0; n < LEASES; n++)
    grants.push(await granted(backend, trial.claim({ key: keyOf(n * 1_000) })));
  expect(new Set(await backend.renew(grants))).toEqual(new Set(['renewed']));
  for (const grant of grants) expect(await backend.release(grant)).toBe('released');
}

/** How many statements go over the wire while a service holds a thousand leases, and what was renewed. */
async function statementsOfATick(
  port: number,
  kind: LineKind,
  backendAt: (port: number) => LockBackend,
): Promise<number> {
  const wire = await Wire.to(port, Math.random, kind);
  const locks = new Locks(backendAt(wire.port), { ttl: 3 * TICK_MS, prefix: 'held' });
  try {
    await locks.start();
    const leases: Lease[] = [];
    while (leases.length < LEASES) {
      const some = Array.from({ length: 25 }, (_, n) => locks.acquire(`k${leases.length + n}`));
      leases.push(...(await Promise.all(some)));
    }
    const before = wire.commands;
    await sleep(3 * TICK_MS);
    const statements = wire.commands - before;
    expect(leases.filter(({ held }) => held)).toHaveLength(LEASES);
    return statements / 3;
  } finally {
    await locks.stop();
    await wire.stop();
  }
}

describe('a million keys that were locked once, in PostgreSQL', () => {
  let trial: PostgresTrial;
  let pool: pg.Pool;
  const plans: string[] = [];
  beforeAll(async () => {
    trial = await PostgresTrial.open();
    await trial.connect();
    await trial.stopAll();
    const client = new pg.Client({ connectionString: trial.server.url });
    await client.connect();
    await client.query(
      `INSERT INTO interlock_lock (key, fence)
       SELECT 'history:' || lpad(n::text, 7, '0'), 1700000000000000 + n FROM generate_series(0, ${HISTORY - 1}) AS n`,
    );
    await client.query('ANALYZE interlock_lock');
    await client.end();
    // the plan of every statement within the functions, as the server carries it out
    pool = new pg.Pool({ connectionString: trial.server.url, max: 1 });
    pool.on('connect', (connection) => {
      connection.on('notice', ({ message }) => void plans.push(message ?? ''));
      void connection.query(`LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0;
        SET auto_explain.log_nested_statements = on; SET auto_explain.log_level = 'notice'`);
    });
  }, 120_000);
  afterEach(() => trial.stopAll());
  afterAll(async () => {
    await pool.end();
    await trial.close();
  });

  /** Of statements on the table of the locks. */
  const planned = (word: string): string[] =>
    plans.filter((plan) => plan.includes('interlock_lock') && plan.includes(word));

  it.each([
    ['a claim, a renewal, a release and all that goes with them', goThrough],
    ['a renewal of a thousand leases', renewAThousand],
  ])('[48] %s: each finds its rows by the index of the key', async (_, work) => {
    plans.length = 0;
    const { backend } = await trial.connect(postgres(pool));
    await work(trial, backend);
    await backend.stop();
    expect(planned('interlock_lock_pkey').length).toBeGreaterThan(10);
    expect(planned('Seq Scan on interlock_lock')).toEqual([]);
  });

  it('[48] a sweep finds its rows by the index of the key', async () => {
    plans.length = 0;
    await pool.query(`SELECT interlock_sweep_v1($1, 200)`, [keyOf(300_000)]);
    expect(planned('DELETE FROM "public"."interlock_lock"')).toHaveLength(1);
    expect(planned('interlock_lock_pkey').length).toBeGreaterThan(0);
    expect(planned('Seq Scan on interlock_lock')).toEqual([]);
    const rows = await trial.server.query('SELECT count(*)::integer AS n FROM interlock_lock');
    expect(Number(rows[0]?.['n'])).toBeLessThan(HISTORY + LEASES);
  });

  it('[48] a statement that reads the table from end to end would be seen', async () => {
    plans.length = 0;
    await pool.query(`SELECT max(fence) FROM interlock_lock`);
    expect(planned('Seq Scan on interlock_lock')).toHaveLength(1);
  });

  it('[28] a service renews a thousand leases in ten statements a tick at most', async () => {
    const backendAt = (port: number): LockBackend =>
      postgres(`postgres://postgres@127.0.0.1:${port}/postgres`);
    const statements = await statementsOfATick(trial.server.port, PostgresLine, backendAt);
    expect(statements).toBeGreaterThan(0);
    expect(statements).toBeLessThanOrEqual(10);
  });
});

describe.each(MYSQL_WORLDS)('a million keys that were locked once, in a database of $name', ({ start }) => {
  let trial: MysqlTrial;
  beforeAll(async () => {
    trial = new MysqlTrial(await start());
    await trial.connect();
    await trial.stopAll();
    await fill(trial.server.url);
  }, 120_000);
  afterEach(() => trial.stopAll());
  afterAll(() => trial.close());

  /** How many rows the server has read in the order of a table or of an index, instead of by a key. */
  const passed = async (): Promise<number> => {
    const rows = await trial.server.query(
      `SHOW GLOBAL STATUS WHERE Variable_name IN ('Handler_read_rnd_next', 'Handler_read_next', 'Handler_read_prev')`,
    );
    return rows.reduce((sum, row) => sum + Number(row['Value']), 0);
  };

  it.each([
    ['a claim, a renewal, a release and all that goes with them', goThrough],
    ['a renewal of a thousand leases', renewAThousand],
  ])('[48] %s: each finds its rows by the index of the key', async (_, work) => {
    const { backend } = await trial.connect(mysql(trial.server.url, { connectionLimit: 1 }));
    const before = await passed();
    await work(trial, backend);
    expect((await passed()) - before).toBeLessThan(HISTORY / 10);
  });

  it('[48] a sweep finds its rows by the index of the key', async () => {
    const count = async (): Promise<number> => {
      const [row] = await trial.server.query('SELECT COUNT(*) AS n FROM interlock_lock', undefined, 30_000);
      return Number(row?.['n']);
    };
    const length = await count();
    const before = await passed();
    await trial.server.query(`CALL interlock_sweep_v1('${keyOf(300_000)}', 200)`);
    expect((await passed()) - before).toBeLessThan(HISTORY / 10);
    expect(await count()).toBe(length - 200);
  });

  it('[48] a statement that reads the table from end to end would be seen', async () => {
    const before = await passed();
    await trial.server.query('SELECT MAX(fence) FROM interlock_lock', undefined, 30_000);
    expect((await passed()) - before).toBeGreaterThan(HISTORY / 2);
  });

  it('[28] a service renews a thousand leases in ten statements a tick at most', async () => {
    const backendAt = (port: number): LockBackend => {
      const url = new URL(trial.server.url);
      url.hostname = '127.0.0.1';
      url.port = String(port);
      return mysql(url.href);
    };
    const statements = await statementsOfATick(trial.server.port, MysqlLine, backendAt);
    expect(statements).toBeGreaterThan(0);
    expect(statements).toBeLessThanOrEqual(10);
  });
});

/** In the order of the keys, which is the fastest. */
async function fill(uri: string): Promise<void> {
  const connection = await createConnection({ uri });
  const add = (offset: number): Promise<unknown> =>
    connection.query(
      `INSERT INTO interlock_lock (\`key\`, fence)
       SELECT CONCAT('history:', LPAD(SUBSTRING(\`key\`, 9) + ${offset}, 7, '0')), fence + ${offset} FROM interlock_lock
        ORDER BY \`key\``,
    );
  await connection.query(
    `INSERT INTO interlock_lock (\`key\`, fence) VALUES ('${keyOf(0)}', 1700000000000000)`,
  );
  for (let length = 1; length < HISTORY; length *= 2) await add(length);
  await connection.query('ANALYZE TABLE interlock_lock');
  await connection.end();
}
