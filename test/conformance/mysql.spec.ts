import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { mysql } from 'nestjs-interlock/mysql';
import { describeLockBackend } from 'nestjs-interlock/testing';
import { MariadbServer } from '../support/mariadb-server.js';
import { mysqlLeftovers } from '../support/sql-leftovers.js';

let server: MariadbServer;

beforeAll(async () => {
  server = await MariadbServer.start();
});

afterAll(() => server.stop());

describeLockBackend('mysql', {
  runner: { describe, it },
  sideBySide: 3,
  shortTtlMs: 600,
  traits: { modes: ['exclusive', 'shared', 'permits'], fence: 'strict', wakeUp: 'queue', stay: true },
  create: () => mysql(server.url),
  leftovers: () => mysqlLeftovers((sql) => server.query(sql)),
});

describeLockBackend('mysql with a lockDelay', {
  runner: { describe, it },
  sideBySide: 3,
  shortTtlMs: 600,
  traits: {
    modes: ['exclusive', 'shared', 'permits'],
    fence: 'strict',
    wakeUp: 'queue',
    stay: true,
    lockDelayMs: 1_000,
  },
  create: () => mysql(server.url, { lockDelay: 1_000, name: 'delayed' }),
  leftovers: () => mysqlLeftovers((sql) => server.query(sql), 'delayed'),
});
