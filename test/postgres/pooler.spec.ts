import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { postgres } from '../../lib/backends/postgres/index.js';
import { Locks } from '../../lib/core/locks.js';
import { Pgbouncer } from '../support/pgbouncer.js';
import { PostgresTrial } from '../support/postgres-trial.js';
import { granted, until } from '../support/redis-trial.js';

describe('[49] behind a pooler that hands each transaction to another connection', () => {
  let trial: PostgresTrial;
  let bouncer: Pgbouncer;
  beforeAll(async () => {
    trial = await PostgresTrial.open();
    bouncer = await Pgbouncer.start(trial.server);
  });
  afterAll(async () => {
    await trial.stopAll();
    await bouncer.stop();
    await trial.close();
  });

  it('locks work, and it is told once that waiting falls back to polling', async () => {
    const { backend, reports } = await trial.connect(postgres(bouncer.url));
    expect(reports.map(String)).toEqual([
      `BackendError: Nothing can listen to PostgreSQL at 127.0.0.1:${bouncer.port}, so waiting falls back to polling: a pooler is in between, which hands each transaction to another connection.`,
    ]);
    const grants = await Promise.all(
      Array.from({ length: 30 }, (_, n) => granted(backend, trial.claim({ key: `trial:${n}` }))),
    );
    expect(await backend.renew(grants)).toEqual(grants.map(() => 'renewed'));
    for (const grant of grants) expect(await backend.release(grant)).toBe('released');
    expect(reports).toHaveLength(1);
  });

  it('callers take turns, never two at a time, and a waiter has the key within a second', async () => {
    const services = [new Locks(postgres(bouncer.url)), new Locks(postgres(trial.server.url))];
    for (const locks of services) await locks.start();
    let inside = 0;
    const turn = async (n: number): Promise<void> => {
      await services[n % 2]!.using('k', { wait: '20s' }, async () => {
        expect(++inside).toBe(1);
        await Promise.resolve();
        inside--;
      });
    };
    await Promise.all(Array.from({ length: 20 }, (_, n) => turn(n)));
    const [behind, direct] = services as [Locks, Locks];
    const lease = await direct.acquire('k');
    const waiter = behind.acquire('k');
    await until(async () => (await direct.inspect('k'))?.waiting === 1, 'the waiter');
    const startMs = performance.now();
    await lease.release();
    await (await waiter).release();
    expect(performance.now() - startMs).toBeLessThan(1_000);
    for (const locks of services) await locks.stop();
  });
});
