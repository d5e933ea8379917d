import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { mysql } from '../../lib/backends/mysql/index.js';
import { postgres } from '../../lib/backends/postgres/index.js';
import { Locks } from '../../lib/core/locks.js';
import { MariadbServer } from '../support/mariadb-server.js';
import { PostgresServer } from '../support/postgres-server.js';
import { until } from '../support/until.js';

const WORLDS = [
  {
    name: 'PostgreSQL',
    start: () => PostgresServer.start(),
    backend: (url: string): LockBackend => postgres(url),
  },
  { name: 'MariaDB', start: () => MariadbServer.start(), backend: (url: string): LockBackend => mysql(url) },
];
const CALL_TIMEOUT_MS = 500;
const SHUTDOWN_TIMEOUT_MS = 1_500;
const CLOSE_LIMIT_MS = 1_000;
/** What a busy machine may add. */
const SLACK_MS = 1_000;

function sockets(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind.startsWith('TCP')).length;
}

describe.each(WORLDS)('a shutdown while $name stands still', ({ start, backend }) => {
  let server: PostgresServer | MariadbServer;
  let locks: Locks;
  let before: number;
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  beforeAll(async () => {
    process.on('unhandledRejection', note);
    server = await start();
  });
  beforeEach(async () => {
    before = sockets();
    locks = new Locks(backend(server.url), {
      ttl: 2_000,
      callTimeout: CALL_TIMEOUT_MS,
      shutdownTimeout: SHUTDOWN_TIMEOUT_MS,
    });
    await locks.start();
  });
  afterEach(() => server.thaw());
  afterAll(async () => {
    process.off('unhandledRejection', note);
    await server.stop();
  });

  /** Expects the end within the two limits, with nothing left of it though the server is silent still. */
  const stops = async (): Promise<void> => {
    const startMs = performance.now();
    await locks.stop();
    expect(performance.now() - startMs).toBeLessThan(SHUTDOWN_TIMEOUT_MS + CALL_TIMEOUT_MS + SLACK_MS);
    await until(() => sockets() <= before, 'the end of all sockets', CLOSE_LIMIT_MS + SLACK_MS);
    expect(locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
    expect(unhandled).toEqual([]);
  };

  it('[24, 33] ends in time with leases, waiters and calls under way, and leaves no socket', async () => {
    const leases = await Promise.all([0, 1, 2, 3, 4, 5].map((n) => locks.acquire(`k${n}`)));
    const waiter = locks.acquire('k0', { wait: '1m' }).catch((error: unknown) => error);
    await until(async () => (await locks.inspect('k0'))?.waiting !== undefined, 'the waiter');
    expect(sockets()).toBeGreaterThan(before);
    await server.freeze();
    // more than there are connections, so that some are being made
    const calls = Array.from({ length: 20 }, (_, n) =>
      locks.tryAcquire(`more${n}`).catch((error: unknown) => error),
    );
    await stops();
    expect(await waiter).toMatchObject({ name: 'LockUnavailableError' });
    for (const answer of await Promise.all(calls))
      expect(answer).toMatchObject({ name: 'LockUnavailableError' });
    expect(leases.filter(({ held }) => held)).toEqual([]);
  });

  it('[24, 33] ends in time when it has nothing to do, and leaves no socket', async () => {
    await (await locks.acquire('k')).release();
    await server.freeze();
    await stops();
  });
});
