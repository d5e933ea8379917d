import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createPool, type PoolConnection } from 'mysql2/promise';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { migration, migrationStatements, mysql } from '../../lib/backends/mysql/index.js';
import { LockConfigurationError } from '../../lib/core/errors.js';
import { MYSQL_WORLDS } from '../support/mysql-by-url.js';
import { MysqlTrial } from '../support/mysql-trial.js';
import { busy, failureOf, granted } from '../support/redis-trial.js';

/** With names that a server of somebody's does not have. */
const ANN = 'interlock_ann';
const BOB = 'interlock_bob';

describe.each(MYSQL_WORLDS)('starting on a database of $name', ({ start }) => {
  let trial: MysqlTrial;
  const dropUsers = (): Promise<unknown> => trial.server.query(`DROP USER IF EXISTS ${ANN}, ${BOB}`);
  beforeAll(async () => {
    trial = new MysqlTrial(await start());
    await dropUsers();
    await trial.server.query(`CREATE USER ${ANN} IDENTIFIED BY 'right'`);
    await trial.server.query(`CREATE USER ${BOB} IDENTIFIED BY 'right'`);
    const [row] = await trial.server.query('SELECT DATABASE() AS name');
    await trial.server.query(`GRANT SELECT ON ${String(row?.['name'])}.* TO ${BOB}`);
  });
  afterEach(() => trial.stopAll());
  afterAll(async () => {
    await dropUsers();
    await trial.close();
  });

  const refusal = async (backend: LockBackend): Promise<string> => {
    const { message, certainty } = await failureOf(trial.connect(backend));
    expect(certainty).toBe('denied');
    return message;
  };

  it('fails in a sentence when nobody listens there', async () => {
    expect(await refusal(mysql('mysql://127.0.0.1:1/none'))).toBe(
      'MySQL at 127.0.0.1:1 cannot be reached (connect ECONNREFUSED 127.0.0.1:1): start it, or correct the address given to mysql().',
    );
  });

  it('fails in a sentence, without the password, when the user or the password is wrong', async () => {
    const failure: unknown = await trial
      .connect(mysql(trial.server.urlOf(`${ANN}:wr0ng`)))
      .catch((error: unknown) => error);
    expect(String(failure)).toContain('cannot be used: the user name or the password is wrong (');
    expect(inspect(failure, { depth: 9 })).not.toContain('wr0ng');
  });

  it('fails in a sentence when there is no such database, when none is named, or the user has no right to it', async () => {
    expect(await refusal(mysql(trial.server.urlOf('root', 'none')))).toContain('there is no such database (');
    expect(await refusal(mysql(trial.server.urlOf('root', '')))).toContain('no database was named');
    expect(await refusal(mysql(trial.server.urlOf(`${ANN}:right`)))).toContain(
      'the user is not allowed to (',
    );
    expect(await refusal(mysql(trial.server.urlOf(`${BOB}:right`)))).toContain(
      'the user is not allowed to (',
    );
  });

  it('fails in a sentence when the server takes no writes', async () => {
    await trial.connect();
    await trial.server.query('SET GLOBAL read_only = 1');
    try {
      expect(await refusal(mysql(trial.server.url))).toContain(
        'cannot be used: it takes no writes, as a replica does: connect to the primary.',
      );
    } finally {
      await trial.server.query('SET GLOBAL read_only = 0');
    }
  });

  it('fails in a sentence when there are too many connections', async () => {
    const [row] = await trial.server.query('SELECT @@max_connections AS usual');
    await trial.server.query('SET GLOBAL max_connections = 30');
    const many = createPool({ uri: trial.server.url, connectionLimit: 100 });
    const taken: PoolConnection[] = [];
    // those of the tests before end a little later, so one refusal is not enough
    for (let refused = 0; refused < 3;) {
      try {
        taken.push(await many.getConnection());
      } catch {
        refused++;
        await sleep(100);
      }
    }
    try {
      expect(await refusal(mysql(trial.server.url))).toContain('it has as many connections as it allows');
    } finally {
      for (const one of taken) one.release();
      // over a connection that there is
      await many.query(`SET GLOBAL max_connections = ${String(row?.['usual'])}`);
      await many.end();
    }
  });

  it('fails in a sentence when the tables are missing and are not to be made; the migration makes them', async () => {
    const backend = (): LockBackend => mysql(trial.server.url, { name: 'migrated', create: false });
    expect(await refusal(backend())).toContain('run the migration');
    for (const sql of migrationStatements({ name: 'migrated' })) await trial.server.query(sql);
    await granted((await trial.connect(backend())).backend, trial.claim());
    for (const sql of migrationStatements({ name: 'migrated' })) await trial.server.query(sql);
    await busy((await trial.connect(backend())).backend, trial.claim());
  });

  it('has a migration that the command line client understands', async () => {
    const { hostname, port, username, password, pathname } = new URL(trial.server.url);
    const given = ['-h', hostname, '-P', port || '3306', '-u', username, pathname.slice(1)];
    const env = { ...process.env, MYSQL_PWD: decodeURIComponent(password) };
    await new Promise<void>((resolve, reject) => {
      const client = execFile('mariadb', given, { env }, (error) =>
        error ? reject(new Error(error.message)) : resolve(),
      );
      client.stdin?.end(migration({ name: 'by_hand' }));
    });
    await granted(
      (await trial.connect(mysql(trial.server.url, { name: 'by_hand', create: false }))).backend,
      trial.claim(),
    );
  });

  it('[48] makes the tables once, though eight processes begin at the same time', async () => {
    const backends = Array.from({ length: 8 }, () => mysql(trial.server.url, { name: 'herd' }));
    const [first, ...others] = await Promise.all(backends.map((backend) => trial.connect(backend)));
    await granted(first!.backend, trial.claim());
    for (const { backend } of others) await busy(backend, trial.claim());
  });

  it('[3] refuses settings that are wrong, before anything is sent', () => {
    expect(() => mysql({ schema: 'a`; DROP' })).toThrow(LockConfigurationError);
    expect(() => mysql({ name: 'Locks' })).toThrow('name is "Locks"; give 1 to 40 small letters');
    expect(() => migration({ schema: '' })).toThrow('schema is ""');
  });
});
