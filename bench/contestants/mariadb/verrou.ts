import { knexStore } from '@verrou/core/drivers/knex';
import { kyselyStore } from '@verrou/core/drivers/kysely';
import knex from 'knex';
import { Kysely, MysqlDialect } from 'kysely';
import { createPool } from 'mysql2';
import type { OpenLocks } from '../contestant.js';
import { verrouLocks } from '../verrou-locks.js';
import './count.js';

export const openVerrouKnex: OpenLocks = (url, ttlMs) => {
  const connection = knex({ client: 'mysql2', connection: url });
  const store = knexStore({ connection, tableName: 'verrou_knex' }).factory();
  return Promise.resolve(verrouLocks(store, ttlMs, () => connection.destroy()));
};

export const openVerrouKysely: OpenLocks = (url, ttlMs) => {
  const connection = new Kysely<unknown>({ dialect: new MysqlDialect({ pool: createPool(url) }) });
  const store = kyselyStore({ connection, tableName: 'verrou_kysely' }).factory();
  return Promise.resolve(verrouLocks(store, ttlMs, () => connection.destroy()));
};
