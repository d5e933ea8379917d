import assert from 'node:assert/strict';
import { postgres } from 'nestjs-interlock/postgres';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { PostgresServer } from '../support/postgres-server.js';
import { sqlLeftovers } from '../support/sql-leftovers.js';
import { describeLocks } from './locks-suite.js';

suite('postgres', 'postgres', (url) => postgres(url));
suite('postgres with a pool of one connection', 'postgres-1', (url) => postgres(url, { max: 1 }));

function suite(name: string, kind: string, create: (url: string) => LockBackend): void {
  let server: PostgresServer;
  describeLocks(name, {
    open: async () => {
      server = await PostgresServer.start();
    },
    close: async () => {
      // after all that was killed
      assert.deepEqual(await sqlLeftovers((text) => server.query(text)), []);
      await server.stop();
    },
    create: () => create(server.url),
    processes: () => [kind, server.url],
    killNotifications: async () => {
      assert(
        (await server.terminate('LISTEN %')) + (await server.terminate('SELECT 1')) > 0,
        'somebody listens',
      );
    },
  });
}
