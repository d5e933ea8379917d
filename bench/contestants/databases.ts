import type { Contestant, Field, ServerName } from './contestant.js';

/** Two statements, one for each call; what others are measured by. */
const barePostgres = entry('postgres', 'bare', async () => (await import('./postgres/bare.js')).openBare);
const bareMariadb = entry('mariadb', 'bare', async () => (await import('./mariadb/bare.js')).openBare);

export const onPostgres: Field = {
  server: 'postgres',
  bare: barePostgres,
  contestants: [
    entry('postgres', 'interlock', async () => (await import('./postgres/interlock.js')).openInterlock),
    barePostgres,
    entry('postgres', 'pg_advisory_lock', async () => (await import('./postgres/advisory.js')).openAdvisory),
    entry('postgres', 'ShedLock', async () => (await import('./postgres/shedlock.js')).openShedlock),
    entry('postgres', 'verrou, Knex', async () => (await import('./postgres/verrou.js')).openVerrouKnex),
    entry('postgres', 'verrou, Kysely', async () => (await import('./postgres/verrou.js')).openVerrouKysely),
  ],
};

export const onMariadb: Field = {
  server: 'mariadb',
  bare: bareMariadb,
  contestants: [
    entry('mariadb', 'interlock', async () => (await import('./mariadb/interlock.js')).openInterlock),
    bareMariadb,
    entry('mariadb', 'GET_LOCK', async () => (await import('./mariadb/get-lock.js')).openGetLock),
    entry('mariadb', 'ShedLock', async () => (await import('./mariadb/shedlock.js')).openShedlock),
    entry('mariadb', 'verrou, Knex', async () => (await import('./mariadb/verrou.js')).openVerrouKnex),
    entry('mariadb', 'verrou, Kysely', async () => (await import('./mariadb/verrou.js')).openVerrouKysely),
  ],
};

export const databases: readonly Field[] = [onPostgres, onMariadb];

function entry(server: ServerName, name: string, load: Contestant['load']): Contestant {
  return { name, server, load, renews: name === 'interlock' };
}
