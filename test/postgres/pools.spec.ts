import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { postgres } from '../../lib/backends/postgres/index.js';
import { Locks } from '../../lib/core/locks.js';
import { PostgresTrial } from '../support/postgres-trial.js';
import { busy, failureOf, granted, listenTo, until } from '../support/redis-trial.js';

describe('the pools that locks in PostgreSQL work with', () => {
  let trial: PostgresTrial;
  const pools: pg.Pool[] = [];
  beforeAll(async () => {
    trial = await PostgresTrial.open();
  });
  afterEach(async () => {
    await trial.stopAll();
    await Promise.all(pools.splice(0).map((pool) => pool.end()));
    await trial.server.wipe();
  });
  afterAll(() => trial.close());

  const pool = (options: pg.PoolConfig & { binary?: boolean } = {}): pg.Pool => {
    const made = new pg.Pool({ connectionString: trial.server.url, ...options });
    pools.push(made);
    return made;
  };
  const cases = [
    { what: 'a URL', target: () => postgres(trial.server.url) },
    {
      what: 'options',
      target: () =>
        postgres({ host: '127.0.0.1', port: trial.server.port, user: 'postgres', database: 'postgres' }),
    },
    { what: 'a URL and options', target: () => postgres(trial.server.url, { max: 2 }) },
    { what: 'a pool', target: () => postgres(pool()) },
    { what: 'a pool of one connection', target: () => postgres(pool({ max: 1 })) },
    { what: 'a pool that reads binary answers', target: () => postgres(pool({ binary: true })) },
    { what: 'a pool that pipelines', target: () => postgres(pool({ pipeline: true })) },
  ];

  it.each(cases)('include $what', async ({ target }) => {
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
        version: expect.stringMatching(/^\d+/),
      },
    ]);
    expect(reports).toEqual([]);
  });

  it('[49] of size one do not deadlock: nobody keeps a connection while waiting or holding', async () => {
    const mine = pool({ max: 1 });
    const locks = new Locks(postgres(mine), { prefix: 'p' });
    await locks.start();
    const lease = await locks.acquire('k');
    const waiter = locks.acquire('k', { wait: '5s' });
    await until(async () => (await locks.inspect('k'))?.waiting !== undefined, 'the state');
    const client = await mine.connect();
    await client.query('SELECT 1');
    client.release();
    await lease.release();
    await (await waiter).release();
    await locks.stop();
  });

  it('[49] stay open, with the same listeners and session settings, when they were handed in', async () => {
    const mine = pool({ max: 1 });
    const settings = `SELECT current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement, current_setting('synchronous_commit') AS commit`;
    await mine.query(`SET lock_timeout = '123ms'; SET statement_timeout = '4s'`);
    const before = mine.listenerCount('error');
    const { backend } = await trial.connect(postgres(mine));
    const grant = await granted(backend, trial.claim());
    await busy(backend, trial.claim({ queue: true }));
    await backend.renew([grant]);
    await backend.release(grant);
    await backend.stop();
    expect((await mine.query<object>(settings)).rows).toEqual([
      { lock: '123ms', statement: '4s', commit: 'on' },
    ]);
    expect(mine.listenerCount('error')).toBe(before);
  });

  it('are closed when they were made here, and leave no connection behind', async () => {
    const before = await trial.connections();
    const { backend } = await trial.connect();
    await granted(backend, trial.claim());
    expect(await trial.connections()).toBeGreaterThan(before + 1);
    await backend.stop();
    await until(async () => (await trial.connections()) === before, 'the end of our connections');
  });

  it('[49] do not get a broken connection back, and the locks notice', async () => {
    const mine = pool();
    const { backend, doubts, reports } = await trial.connect(postgres(mine));
    const grant = await granted(backend, trial.claim());
    expect(await trial.server.terminate()).toBeGreaterThan(1);
    await until(() => doubts.includes(undefined), 'the doubt when the listening connection is back');
    expect(String(reports[0])).toContain('is down, and is tried again');
    const settled = await Promise.allSettled(Array.from({ length: 5 }, () => backend.renew([grant])));
    for (const one of settled)
      if (one.status === 'rejected') expect(one.reason).toMatchObject({ certainty: 'unknown' });
    expect(await backend.renew([grant])).toEqual(['renewed']);
    expect(mine.idleCount).toBe(mine.totalCount);
  });

  it('[49] a lock that is held while its row is locked by somebody is neither lost nor denied others', async () => {
    const { backend } = await trial.connect();
    const grant = await granted(backend, trial.claim());
    const other = await granted(backend, trial.claim({ key: 'trial:other' }));
    const client = await pool().connect();
    await client.query(`BEGIN; SELECT 1 FROM interlock_lock WHERE key = 'trial:key' FOR UPDATE`);
    expect(await backend.renew([grant, other])).toEqual(['unknown', 'renewed']);
    const { message, certainty } = await failureOf(backend.claim(trial.claim()));
    expect(certainty).toBe('denied');
    expect(message).toContain('somebody has the row of the lock locked: end that transaction (');
    await client.query('ROLLBACK');
    client.release();
    expect(await backend.renew([grant])).toEqual(['renewed']);
  });

  it.each([
    { what: 'a URL', target: () => postgres(trial.server.url) },
    { what: 'options without a limit', target: () => postgres(trial.server.url, { lock_timeout: 0 }) },
    { what: 'a pool', target: () => postgres(pool()) },
  ])('[49] over $what, every step whose row somebody has locked is denied in time', async ({ target }) => {
    const { backend } = await trial.connect(target());
    const grant = await granted(backend, trial.claim());
    const client = await pool().connect();
    await client.query(`BEGIN; SELECT 1 FROM interlock_lock WHERE key = 'trial:key' FOR UPDATE`);
    const next = trial.claim();
    const steps = [
      () => backend.claim(next),
      () => backend.release(grant),
      () => backend.evict('trial:key'),
      () => backend.abandon(next),
    ];
    for (const step of steps) expect(await failureOf(step())).toMatchObject({ certainty: 'denied' });
    const passed = backend.release(grant, 0, true);
    expect(await failureOf(backend.claim(next))).toMatchObject({ certainty: 'denied' });
    expect(await failureOf(passed)).toMatchObject({ certainty: 'denied' });
    await client.query('ROLLBACK');
    client.release();
    expect(await backend.release(grant)).toBe('released');
  });
});
