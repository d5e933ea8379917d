import { knexStore } from '@verrou/core/drivers/knex';
import { kyselyStore } from '@verrou/core/drivers/kysely';
import knex from 'knex';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { OpenLocks } from '../contestant.js';
import { verrouLocks } from '../verrou-locks.js';
import './count.js';

export const openVerrouKnex: OpenLocks = (url, ttlMs) => {
  const connection = knex({ client: 'pg', connection: url });
  const store = knexStore({ connection, tableName: 'verrou_knex' }).factory();
  return Promise.resolve(verrouLocks(store, ttlMs, () => connection.destroy()));
};

export const openVerrouKysely: OpenLocks = (url, ttlMs) => {
  const dialect = new PostgresDialect({ pool: new pg.Pool({ connectionString: url }) });
  const connection = new Kysely<unknown>({ dialect });
  const store = kyselyStore({ connection, tableName: 'verrou_kysely' }).factory();
  return Promise.resolve(verrouLocks(store, ttlMs, () => connection.destroy()));
};
