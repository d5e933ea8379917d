import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createPool as createCallbackPool } from 'mysql2';
import { createPool, type Pool, type RowDataPacket } from 'mysql2/promise';
import { mysql } from '../../lib/backends/mysql/index.js';
import { coreOf } from '../../lib/backends/mysql/mysql-client.js';
import { MysqlRequest } from '../../lib/backends/mysql/mysql-request.js';
import { systemClock } from '../../lib/core/clock.js';
import { Locks } from '../../lib/core/locks.js';
import { MysqlTrial } from '../support/mysql-trial.js';
import { busy, failureOf, granted, listenTo, until } from '../support/redis-trial.js';

describe('the pools that locks in MariaDB work with', () => {
  let trial: MysqlTrial;
  const pools: Pick<Pool, 'end'>[] = [];
  beforeAll(async () => {
    trial = await MysqlTrial.open();
  });
  afterEach(async () => {
    await trial.stopAll();
    await Promise.all(pools.splice(0).map((pool) => pool.end()));
    await trial.server.wipe();
  });
  afterAll(() => trial.close());

  const pool = (connectionLimit = 10, options: object = {}): Pool => {
    const made = createPool({ uri: trial.server.url, connectionLimit, ...options });
    pools.push(made);
    return made;
  };
  const callbackPool = (): ReturnType<typeof createCallbackPool> => {
    const made = createCallbackPool({ uri: trial.server.url });
    pools.push(made.promise());
    return made;
  };

  it.each([
    { what: 'a URL', target: () => mysql(trial.server.url) },
    {
      what: 'options',
      target: () => mysql({ host: '127.0.0.1', port: trial.server.port, user: 'root', database: 'locks' }),
    },
    { what: 'a pool of promises', target: () => mysql(pool()) },
    { what: 'a pool of callbacks', target: () => mysql(callbackPool()) },
    { what: 'a pool of one connection', target: () => mysql(pool(1)) },
    {
      what: 'a pool in another time zone, with other types',
      target: () =>
        mysql(
          pool(2, { timezone: '+09:00', supportBigNumbers: true, bigNumberStrings: true, rowsAsArray: true }),
        ),
    },
  ])('include $what', async ({ target }) => {
    const { backend, reports } = await trial.connect(target());
    for (const mode of ['exclusive', 'shared', 'permits'] as const) {
      const grant = await granted(backend, trial.claim({ mode }));
      const place = await busy(backend, trial.claim({ queue: true }));
      expect(place.busy).toEqual({ holder: grant.claim.owner, expiresInMs: expect.any(Number), ahead: 0 });
      const ear = listenTo(place);
      expect(await backend.renew([grant])).toEqual(['renewed']);
      expect(await backend.inspect('trial:key')).toMatchObject({
        mode,
        holders: [{ fence: grant.fence }],
        waiting: 1,
      });
      expect(await backend.release(grant)).toBe('released');
      await until(() => ear.hints === 1, 'the hint');
      expect(await place.retry()).toMatchObject({ fence: expect.any(BigInt) });
      expect(await backend.evict('trial:key')).toBe(true);
    }
    expect(await backend.nodes()).toEqual([
      {
        node: `127.0.0.1:${trial.server.port}`,
        role: 'primary',
        state: 'up',
        latencyMs: expect.any(Number),
        version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      },
    ]);
    expect(reports).toEqual([]);
  });

  it('[49] of size one do not deadlock: nobody keeps a connection while waiting or holding', async () => {
    const mine = pool(1);
    const locks = new Locks(mysql(mine), { prefix: 'p' });
    await locks.start();
    const lease = await locks.acquire('k');
    const waiter = locks.acquire('k', { wait: '5s' });
    await until(async () => (await locks.inspect('k')) !== null, 'the state');
    await mine.query('SELECT 1');
    await lease.release();
    await (await waiter).release();
    await locks.stop();
  });

  it('[49] stay open, with the same session settings, when they were handed in', async () => {
    const mine = pool(1);
    await mine.query(`SET SESSION innodb_lock_wait_timeout = 7, SESSION group_concat_max_len = 999`);
    const { backend } = await trial.connect(mysql(mine));
    const grant = await granted(backend, trial.claim());
    const waiting = trial.claim({ queue: true });
    await busy(backend, waiting);
    await backend.stay?.([waiting]);
    await backend.renew([grant]);
    await backend.release(grant);
    await backend.stop();
    const [rows] = await mine.query<RowDataPacket[]>(
      'SELECT @@innodb_lock_wait_timeout AS wait, @@group_concat_max_len AS longest, @@tx_isolation AS isolation',
    );
    expect(rows).toEqual([{ wait: 7, longest: 999, isolation: 'REPEATABLE-READ' }]);
  });

  it.each([
    {
      what: 'that takes no prepared statements',
      harm: 'SET GLOBAL max_prepared_stmt_count = 0',
      repair: 'SET GLOBAL max_prepared_stmt_count = DEFAULT',
    },
    {
      what: 'whose sessions begin without autocommit',
      harm: 'SET GLOBAL autocommit = 0',
      repair: 'SET GLOBAL autocommit = 1',
    },
    {
      what: 'that lets statements wait for a row for ever',
      harm: 'SET GLOBAL innodb_lock_wait_timeout = 100000000',
      repair: 'SET GLOBAL innodb_lock_wait_timeout = DEFAULT',
    },
  ])('work on a server $what', async ({ harm, repair }) => {
    await trial.server.query(harm);
    try {
      const { backend } = await trial.connect();
      const { backend: another } = await trial.connect();
      for (let n = 0; n < 3; n++) {
        const grant = await granted(backend, trial.claim());
        await busy(another, trial.claim());
        expect(await backend.release(grant)).toBe('released');
        await another.release(await granted(another, trial.claim()));
      }
      const row = await pool().getConnection();
      await row.query('BEGIN');
      await row.query('SELECT 1 FROM interlock_lock FOR UPDATE');
      expect(await failureOf(backend.claim(trial.claim()))).toMatchObject({ certainty: 'denied' });
      await row.query('ROLLBACK');
      row.release();
    } finally {
      await trial.server.query(repair);
    }
  });

  it('[49] get their connection back, and the caller an answer, when mysql2 refuses to send a statement', async () => {
    const mine = pool(1);
    const desk = { pool: coreOf(mine), clock: systemClock, setUp: undefined };
    const { answer } = new MysqlRequest(desk, { sql: 'SELECT ?', values: [undefined], prepared: true });
    await expect(answer).rejects.toThrow('Bind parameters must not contain undefined');
    await mine.query('SELECT 1');
  });

  it('are closed when they were made here, and leave no connection behind', async () => {
    const before = await trial.connections();
    const { backend } = await trial.connect();
    await granted(backend, trial.claim());
    expect(await trial.connections()).toBeGreaterThan(before);
    await backend.stop();
    await until(async () => (await trial.connections()) === before, 'the end of our connections');
  });

  it('[49] do not get a broken connection back', async () => {
    const { backend } = await trial.connect(mysql(pool()));
    const grant = await granted(backend, trial.claim());
    expect(await trial.server.terminate()).toBeGreaterThan(0);
    const settled = await Promise.allSettled(Array.from({ length: 5 }, () => backend.renew([grant])));
    for (const one of settled)
      if (one.status === 'rejected') expect(one.reason).toMatchObject({ certainty: 'unknown' });
    await until(
      () =>
        backend.renew([grant]).then(
          ([outcome]) => outcome === 'renewed',
          () => false,
        ),
      'a connection that works',
    );
  });

  it('[49] a lock whose row is locked by somebody is neither lost, nor does it hold up the renewal of others', async () => {
    const { backend } = await trial.connect();
    const grant = await granted(backend, trial.claim());
    const other = await granted(backend, trial.claim({ key: 'trial:other' }));
    const connection = await pool().getConnection();
    await connection.query('BEGIN');
    await connection.query(`SELECT 1 FROM interlock_lock WHERE \`key\` = 'trial:key' FOR UPDATE`);
    expect(await backend.renew([grant, other])).toEqual(['unknown', 'renewed']);
    const { message, certainty } = await failureOf(backend.claim(trial.claim()));
    expect(certainty).toBe('denied');
    expect(message).toContain('somebody has the row of the lock locked: end that transaction (');
    await connection.query('ROLLBACK');
    connection.release();
    expect(await backend.renew([grant])).toEqual(['renewed']);
  });
});
