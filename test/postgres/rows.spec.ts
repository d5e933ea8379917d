import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { postgres } from '../../lib/backends/postgres/index.js';
import { Locks } from '../../lib/core/locks.js';
import { PostgresTrial } from '../support/postgres-trial.js';
import { busy, failureOf, granted, until, waitFor } from '../support/redis-trial.js';

const HOUR_US = 3_600_000_000n;

describe('the rows that locks in PostgreSQL are', () => {
  let trial: PostgresTrial;
  beforeAll(async () => {
    trial = await PostgresTrial.open();
    await trial.connect();
  });
  afterEach(async () => {
    await trial.stopAll();
    await trial.server.wipe();
  });
  afterAll(() => trial.close());

  const count = async (table: string): Promise<number> => {
    const [row] = await trial.server.query(`SELECT count(*)::integer AS n FROM interlock_${table}`);
    return Number(row?.['n']);
  };
  /** Makes the keys look as if their last grant had been two hours ago, or, by a clock set back, in two hours. */
  const shift = (byUs: bigint): Promise<unknown> =>
    trial.server.query(`UPDATE interlock_lock SET fence = fence + $1`, [String(byUs)]);

  it('[48] may be deleted by hand: the holder is told, the next has a higher fence, and no orphans stay', async () => {
    const { backend } = await trial.connect();
    const grant = await granted(backend, trial.claim());
    const reader = await granted(backend, trial.claim({ key: 'trial:shared', mode: 'shared' }));
    await busy(backend, trial.claim({ queue: true }));
    await trial.server.query('DELETE FROM interlock_lock');
    expect(await backend.renew([grant, reader])).toEqual(['gone', 'gone']);
    expect(await backend.release(grant)).toBe('gone');
    expect([await count('holder'), await count('waiter')]).toEqual([0, 0]);
    const next = await granted(backend, trial.claim());
    expect(next.fence).toBeGreaterThan(grant.fence);
  });

  it.each([
    { what: 'were looked at by the sweep', harm: "SELECT interlock_sweep_v1('', 100)" },
    { what: 'were deleted by hand', harm: 'DELETE FROM interlock_lock' },
  ])('refuse a claim that arrives after it was abandoned, though they $what', async ({ harm }) => {
    const { backend } = await trial.connect();
    const late = trial.claim();
    await backend.abandon(late);
    await trial.server.query(harm);
    for (let n = 0; n < 2; n++) await backend.release(await granted(backend, trial.claim()));
    expect(await failureOf(backend.claim(late))).toMatchObject({ certainty: 'denied' });
    expect(await backend.inspect('trial:key')).toBeNull();
  });

  it('[37] do not keep a dead head of the line alive when the clock of the server is set back', async () => {
    const { backend } = await trial.connect();
    const holder = await granted(backend, trial.claim());
    await busy(backend, trial.claim({ queue: true }));
    await trial.server.query("UPDATE interlock_waiter SET seen_at = seen_at + interval '1 hour'");
    await backend.release(holder);
    const startMs = performance.now();
    await waitFor(backend, trial.claim({ queue: true }));
    expect(performance.now() - startMs).toBeLessThan(3_000);
  });

  it('[48] are swept when they were idle for an hour, and never while somebody holds or waits', async () => {
    const { backend } = await trial.connect();
    for (let n = 0; n < 50; n++)
      await backend.release(await granted(backend, trial.claim({ key: `trial:${n}` })));
    await granted(backend, trial.claim({ key: 'trial:held' }));
    await granted(backend, trial.claim({ key: 'trial:read', mode: 'shared' }));
    await granted(backend, trial.claim({ key: 'trial:waited' }));
    await busy(backend, trial.claim({ key: 'trial:waited', queue: true }));
    await shift(-2n * HOUR_US);
    for (let n = 0; n < 320; n++)
      await backend.release(await granted(backend, trial.claim({ key: 'trial:busy' })));
    await until(async () => (await count('lock')) === 4, 'the sweep');
    const left = await trial.server.query('SELECT key FROM interlock_lock ORDER BY key');
    expect(left.map(({ key }) => key)).toEqual(['trial:busy', 'trial:held', 'trial:read', 'trial:waited']);
  });

  it('[47, 48] leave their fence behind when they are swept, also by a clock that is set back afterwards', async () => {
    const { backend } = await trial.connect();
    const first = await granted(backend, trial.claim());
    await backend.release(first);
    // swept while the clock was ten hours ahead
    await shift(10n * HOUR_US);
    await trial.server.query(`UPDATE interlock_floor SET fence = (SELECT max(fence) FROM interlock_lock)`);
    await trial.server.query('DELETE FROM interlock_lock');
    const next = await granted(backend, trial.claim());
    expect(next.fence).toBeGreaterThan(first.fence + 10n * HOUR_US);
    await trial.server.query('UPDATE interlock_floor SET fence = 0');
  });

  it('[48] a sweep raises the floor to the highest fence that it forgets', async () => {
    const { backend } = await trial.connect();
    const grant = await granted(backend, trial.claim());
    await backend.release(grant);
    await shift(-2n * HOUR_US);
    await trial.server.query(`SELECT interlock_sweep_v1('', 100)`);
    const [floor] = await trial.server.query('SELECT fence FROM interlock_floor');
    expect(floor).toEqual({ fence: String(grant.fence - 2n * HOUR_US) });
    expect(await count('lock')).toBe(0);
  });

  it('[15, 28] cost few statements: one for a thousand renewals, three an acquisition among a hundred waiters', async () => {
    let statements = 0;
    const pools = [0, 1, 2, 3].map(() => new pg.Pool({ connectionString: trial.server.url }));
    for (const pool of pools) pool.on('acquire', () => statements++);
    const { backend } = await trial.connect(postgres(pools[0]!));
    const grants = await Promise.all(
      Array.from({ length: 1_000 }, (_, n) => granted(backend, trial.claim({ key: `trial:${n}` }))),
    );
    statements = 0;
    expect(new Set(await backend.renew(grants))).toEqual(new Set(['renewed']));
    // a sweep may go on beside it
    expect(statements).toBeLessThanOrEqual(2);

    const services = pools.map((pool) => new Locks(postgres(pool)));
    for (const locks of services) await locks.start();
    statements = 0;
    const startMs = performance.now();
    const turns = Array.from({ length: 100 }, (_, n) =>
      services[n % 4]!.using('k', { wait: '20s' }, () => sleep(2)),
    );
    await Promise.all(turns);
    const all = statements;
    const signsOfLife = (services.length * (performance.now() - startMs)) / 300;
    for (const locks of services) await locks.stop();
    expect(all).toBeGreaterThan(100);
    expect(all).toBeLessThanOrEqual(300 + signsOfLife);
    await trial.stopAll();
    await Promise.all(pools.map((pool) => pool.end()));
  });
});
