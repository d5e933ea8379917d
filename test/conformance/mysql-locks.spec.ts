import assert from 'node:assert/strict';
import { mysql } from 'nestjs-interlock/mysql';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { MariadbServer } from '../support/mariadb-server.js';
import { mysqlLeftovers } from '../support/sql-leftovers.js';
import { describeLocks } from './locks-suite.js';

suite('mysql', 'mysql', (url) => mysql(url));
suite('mysql with a pool of one connection', 'mysql-1', (url) => mysql(url, { connectionLimit: 1 }));

function suite(name: string, kind: string, create: (url: string) => LockBackend): void {
  let server: MariadbServer;
  describeLocks(name, {
    open: async () => {
      server = await MariadbServer.start();
    },
    close: async () => {
      // after all that was killed
      assert.deepEqual(await mysqlLeftovers((sql) => server.query(sql)), []);
      await server.stop();
    },
    create: () => create(server.url),
    processes: () => [kind, server.url],
    evictionsTold: { absent: 'nobody is notified' },
    killNotifications: { absent: 'nobody is notified: it polls' },
  });
}
