import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { mysql } from 'nestjs-interlock/mysql';
import { describeLockBackend } from 'nestjs-interlock/testing';
import { MYSQL_WORLDS } from '../support/mysql-by-url.js';
import { mysqlLeftovers } from '../support/sql-leftovers.js';

/** What a server of MySQL 8 starts with, and MariaDB does not: stricter, and with shorter lists. */
const AS_MYSQL = [
  '--sql-mode=ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION',
  '--group-concat-max-len=1024',
  '--character-set-server=utf8mb4',
];

describe.each(MYSQL_WORLDS)('on $name', ({ start }) => {
  let server: Awaited<ReturnType<typeof start>>;

  beforeAll(async () => {
    server = await start(...AS_MYSQL);
  });

  afterAll(() => server.stop());

  describeLockBackend('mysql', {
    runner: { describe, it },
    sideBySide: 6,
    shortTtlMs: 600,
    traits: { modes: ['exclusive', 'shared', 'permits'], fence: 'strict', wakeUp: 'queue', stay: true },
    create: () => mysql(server.url),
    leftovers: () => mysqlLeftovers((sql) => server.query(sql)),
  });

  describeLockBackend('mysql with a lockDelay and a pool of one connection that forgets its session', {
    runner: { describe, it },
    sideBySide: 6,
    shortTtlMs: 600,
    traits: {
      modes: ['exclusive', 'shared', 'permits'],
      fence: 'strict',
      wakeUp: 'queue',
      stay: true,
      lockDelayMs: 1_000,
    },
    // the procedures do all of it then
    create: () =>
      mysql(server.url, {
        lockDelay: 1_000,
        name: 'delayed',
        connectionLimit: 1,
        resetOnRelease: true,
      }),
    leftovers: () => mysqlLeftovers((sql) => server.query(sql), 'delayed'),
  });
});
