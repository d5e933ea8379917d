import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { mysql } from '../../lib/backends/mysql/index.js';
import { postgres } from '../../lib/backends/postgres/index.js';
import { Locks } from '../../lib/core/locks.js';
import { MariadbServer } from '../support/mariadb-server.js';
import { PostgresServer } from '../support/postgres-server.js';
import { until } from '../support/until.js';

interface World {
  readonly name: string;
  start(): Promise<PostgresServer | MariadbServer>;
  backend(url: string): LockBackend;
}

const WORLDS: readonly World[] = [
  { name: 'PostgreSQL', start: () => PostgresServer.start(), backend: (url) => postgres(url) },
  { name: 'MariaDB', start: () => MariadbServer.start(), backend: (url) => mysql(url) },
];
const TTL_MS = 1_500;

describe.each(WORLDS)('locks on $name, when the server is in trouble', ({ start, backend }) => {
  let server: PostgresServer | MariadbServer;
  const services: Locks[] = [];
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  beforeAll(async () => {
    process.on('unhandledRejection', note);
    server = await start();
  });
  afterEach(async () => {
    await Promise.all(services.splice(0).map((locks) => locks.stop()));
    expect(unhandled).toEqual([]);
  });
  afterAll(async () => {
    process.off('unhandledRejection', note);
    await server.stop();
  });
  const service = async (): Promise<Locks> => {
    const locks = new Locks(backend(server.url), { ttl: TTL_MS });
    services.push(locks);
    await locks.start();
    return locks;
  };

  it('[20, 47] killed and back: a lock stays with its holder, the line goes on, and fences rise', async () => {
    const [one, two] = [await service(), await service()];
    const lease = await one.acquire('k', { ttl: '20s' });
    const waiter = two.acquire('k', { wait: '30s' });
    await until(async () => (await one.inspect('k'))?.waiting === 1, 'the waiter');
    await server.restart();
    const bootedMs = performance.now();
    await until(
      () =>
        two.inspect('k').then(
          (state) => state?.holders[0]?.fence === lease.fence,
          () => false,
        ),
      'the server, with what it knew',
    );
    expect(await two.tryAcquire('k').catch(() => null)).toBeNull();
    expect(lease.held).toBe(true);
    await until(async () => lease.release().catch(() => false), 'the release');
    const next = await waiter;
    expect(performance.now() - bootedMs).toBeLessThan(5_000);
    expect(next.fence).toBeGreaterThan(lease.fence);
    await next.release();
  }, 60_000);

  it('[6, 49] while connections are killed again and again: never two inside, and all get in', async () => {
    const all = [await service(), await service(), await service()];
    let inside = 0;
    let turns = 0;
    let newest = 0n;
    const over = new AbortController();
    const killer = (async () => {
      while (!over.signal.aborted) {
        await sleep(150);
        await server.terminate().catch(() => undefined);
      }
    })();
    const turn = async (locks: Locks): Promise<void> => {
      for (;;) {
        const lease = await locks.acquire('k', { wait: '40s' }).catch(() => undefined);
        if (!lease) continue;
        expect(++inside).toBe(1);
        expect(lease.fence).toBeGreaterThan(newest);
        newest = lease.fence;
        await sleep(5);
        inside--;
        turns++;
        await lease.release().catch(() => false);
        return;
      }
    };
    await Promise.all(Array.from({ length: 30 }, (_, n) => turn(all[n % 3]!)));
    over.abort();
    await killer;
    expect(turns).toBe(30);
  }, 60_000);
});
