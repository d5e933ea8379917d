import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { inspect } from 'node:util';
import pg from 'pg';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { migration, postgres } from '../../lib/backends/postgres/index.js';
import { LockConfigurationError } from '../../lib/core/errors.js';
import { PostgresTrial } from '../support/postgres-trial.js';
import { busy, failureOf, granted } from '../support/redis-trial.js';

describe('starting on a PostgreSQL database', () => {
  let trial: PostgresTrial;
  const pools: pg.Pool[] = [];
  beforeAll(async () => {
    trial = await PostgresTrial.open('max_connections=40');
    await trial.server.query(`CREATE ROLE ann LOGIN PASSWORD 'right'`);
    await trial.server.query('CREATE SCHEMA closed');
  });
  afterEach(async () => {
    await trial.stopAll();
    await Promise.all(pools.splice(0).map((pool) => pool.end()));
  });
  afterAll(() => trial.close());

  const refusal = async (backend: LockBackend): Promise<string> => {
    const { message, certainty } = await failureOf(trial.connect(backend));
    expect(certainty).toBe('denied');
    return message;
  };
  const pool = (options: pg.PoolConfig = {}): pg.Pool => {
    const made = new pg.Pool({ connectionString: trial.server.url, ...options });
    pools.push(made);
    return made;
  };

  it('fails in a sentence when nobody listens there', async () => {
    expect(await refusal(postgres('postgres://127.0.0.1:1/none'))).toBe(
      'PostgreSQL at 127.0.0.1:1 cannot be reached (connect ECONNREFUSED 127.0.0.1:1): start it, or correct the address given to postgres().',
    );
  });

  it('fails in a sentence, without the password, when the user or the password is wrong', async () => {
    const backend = postgres(trial.server.urlOf('nobody:wr0ng'));
    const failure: unknown = await trial.connect(backend).catch((error: unknown) => error);
    expect(String(failure)).toContain('cannot be used: the user name or the password is wrong (');
    expect(inspect(failure, { depth: 9 })).not.toContain('wr0ng');
  });

  it('fails in a sentence when there is no such database', async () => {
    const backend = postgres(trial.server.urlOf('postgres', 'none'));
    expect(await refusal(backend)).toContain('cannot be used: there is no such database (');
  });

  it('fails in a sentence when there is no such schema', async () => {
    expect(await refusal(postgres(trial.server.url, { schema: 'none' }))).toContain(
      'cannot be used: there is no such schema: create it, or name another one in `schema` (',
    );
  });

  it('fails in a sentence when the user may not make the tables, or not use them', async () => {
    const ann = trial.server.urlOf('ann');
    expect(await refusal(postgres(ann, { schema: 'closed' }))).toContain('the user is not allowed to (');
    await trial.connect(postgres(trial.server.url, { name: 'others' }));
    expect(await refusal(postgres(ann, { name: 'others' }))).toContain(
      'the user is not allowed to read and write "public"."others_floor", "public"."others_gone", "public"."others_holder", "public"."others_lock", "public"."others_waiter": GRANT',
    );
  });

  it('fails in a sentence when the tables are missing and are not to be made; the migration makes them', async () => {
    const backend = (): LockBackend => postgres(trial.server.url, { name: 'migrated', create: false });
    expect(await refusal(backend())).toContain('run the migration');
    await trial.server.query(migration({ name: 'migrated' }));
    await granted((await trial.connect(backend())).backend, trial.claim());
    // once more, where they are already and in use
    await trial.server.query(migration({ name: 'migrated' }));
    await busy((await trial.connect(backend())).backend, trial.claim());
  });

  it('fails in a sentence when the server takes no writes', async () => {
    await trial.connect();
    const readOnly = pool({ options: '-c default_transaction_read_only=on' });
    const { backend } = await trial.connect(postgres(readOnly));
    const { message, certainty } = await failureOf(backend.claim(trial.claim()));
    expect(certainty).toBe('denied');
    expect(message).toContain('it takes no writes, as a replica does: connect to the primary (');
  });

  it('fails in a sentence when another isolation level is the default', async () => {
    const strict = pool({ options: '-c default_transaction_isolation=serializable' });
    expect(await refusal(postgres(strict))).toContain('its default_transaction_isolation is serializable');
  });

  it('fails in a sentence when there are too many connections', async () => {
    const many = pool({ max: 45 });
    const taken = await Promise.allSettled(Array.from({ length: 45 }, () => many.connect()));
    try {
      expect(await refusal(postgres(trial.server.url))).toContain(
        'it has as many connections as it allows: raise its limit, or make the pools smaller (',
      );
    } finally {
      for (const one of taken) if (one.status === 'fulfilled') one.value.release();
    }
  });

  it('leaves no connection open when it fails', async () => {
    await Promise.all(pools.splice(0).map((one) => one.end()));
    const before = await trial.connections();
    await refusal(postgres(trial.server.url, { schema: 'none' }));
    expect(await trial.connections()).toBe(before);
  });

  it('[48] makes the tables once, though twelve processes begin at the same time', async () => {
    const backends = Array.from({ length: 12 }, () => postgres(trial.server.url, { name: 'herd', max: 2 }));
    const clients = await Promise.all(backends.map((backend) => trial.connect(backend)));
    const [first, ...others] = clients;
    await granted(first!.backend, trial.claim());
    for (const { backend } of others) await busy(backend, trial.claim());
  });

  it('[3] refuses settings that are wrong, before anything is sent', () => {
    expect(() => postgres({ schema: 'a"; DROP' })).toThrow(LockConfigurationError);
    expect(() => postgres({ name: 'Locks' })).toThrow('name is "Locks"; give 1 to 40 small letters');
    expect(() => postgres({ create: 'yes' as never })).toThrow('create is "yes"');
    expect(() => postgres({ lockDelay: -1 })).toThrow('lockDelay is -1');
    expect(() => migration({ schema: '' })).toThrow('schema is ""');
  });
});
