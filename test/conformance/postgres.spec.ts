import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { postgres } from 'nestjs-interlock/postgres';
import { describeLockBackend } from 'nestjs-interlock/testing';
import { PostgresServer } from '../support/postgres-server.js';
import { sqlLeftovers } from '../support/sql-leftovers.js';

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(() => server.stop());

describeLockBackend('postgres', {
  runner: { describe, it },
  sideBySide: 10,
  shortTtlMs: 600,
  traits: { modes: ['exclusive', 'shared', 'permits'], fence: 'strict', wakeUp: 'queue', stay: true },
  create: () => postgres(server.url),
  leftovers: () => sqlLeftovers((text) => server.query(text)),
});

describeLockBackend('postgres with a lockDelay and a pool of one connection', {
  runner: { describe, it },
  sideBySide: 10,
  shortTtlMs: 600,
  traits: {
    modes: ['exclusive', 'shared', 'permits'],
    fence: 'strict',
    wakeUp: 'queue',
    stay: true,
    lockDelayMs: 1_000,
  },
  create: () => postgres(server.url, { lockDelay: 1_000, name: 'delayed', max: 1 }),
  leftovers: () => sqlLeftovers((text) => server.query(text), 'delayed'),
});
