import { createRequire } from 'node:module';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { contractCases, describeLockBackend } from 'nestjs-interlock/testing';
import type { BackendContext, Claim, Grant, LockBackend, Place } from '../../lib/backends/lock-backend.js';
import { migrationStatements, mysql } from '../../lib/backends/mysql/index.js';
import { migration, postgres } from '../../lib/backends/postgres/index.js';
import type { Clock } from '../../lib/core/clock.js';
import { MysqlTrial } from '../support/mysql-trial.js';
import { PostgresTrial } from '../support/postgres-trial.js';
import { granted } from '../support/redis-trial.js';
import { CollectingRunner } from '../testing/collecting-runner.js';
import { Delegate } from '../testing/mutants/delegate.js';

/** What is planted into the functions of a database: each text is there, and all of it is replaced. */
interface Patch {
  readonly find: string;
  readonly replace: string;
}

/** A bug of the database's side, and the cases of the contract that find it. */
interface SqlMutant {
  readonly bug: string;
  readonly caughtBy: readonly string[];
  /** `quick` is for what is done on MySQL without a procedure. */
  readonly patch: {
    readonly postgres?: Patch;
    readonly mysql?: Patch;
    readonly quick?: Patch & Partial<Pick<SqlMutant, 'caughtBy'>>;
  };
  readonly mutate?: (inner: LockBackend) => LockBackend;
}

/** Sends an end by its own clock, as a time left. */
class EndsByItsOwnClock extends Delegate {
  private clock: Clock | undefined;

  override start(context: BackendContext): Promise<void> {
    this.clock = context.clock;
    return this.inner.start(context);
  }

  override claim(claim: Claim): Promise<Grant | Place> {
    const aheadMs = Math.round((this.clock?.now() ?? 0) - performance.now());
    // a clock that is right is so within what the test takes to make it
    return this.inner.claim({
      ...claim,
      ttlMs: Math.max(1, claim.ttlMs + Math.round(aheadMs / 1_000) * 1_000),
    });
  }
}

const MUTANTS: readonly SqlMutant[] = [
  {
    bug: 'a release that does not look at whose lease it is',
    caughtBy: ['stale-owner/exclusive', 'owner-identity'],
    patch: {
      postgres: {
        find: 'AND t.owner = p_owner AND NOT t.lingers AND t.lease_until > clock_timestamp()\n    RETURNING',
        replace: 'AND NOT t.lingers AND t.lease_until > clock_timestamp()\n    RETURNING',
      },
      mysql: {
        find: 'IF l_owner = p_owner AND l_lease > v_now THEN',
        replace: 'IF l_owner IS NOT NULL AND l_lease > v_now THEN',
      },
      quick: {
        find: 'owner = ? AND lingers = 0',
        replace: '? IS NOT NULL AND lingers = 0',
        caughtBy: ['stale-owner/exclusive'],
      },
    },
  },
  {
    bug: 'a fence that is not raised',
    caughtBy: ['fence/exclusive'],
    patch: {
      postgres: {
        find: 'greatest(l.fence + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)',
        replace: 'l.fence',
      },
      mysql: { find: 'SET l_fence = GREATEST(l_fence + 1, v_now);', replace: 'SET l_fence = l_fence + 0;' },
      quick: { find: 'LAST_INSERT_ID(GREATEST(fence + 1, ', replace: 'LAST_INSERT_ID(LEAST(fence, ' },
    },
  },
  {
    bug: 'a line that is not respected',
    caughtBy: ['no-barging'],
    patch: {
      postgres: {
        find: 'IF v_room AND (ahead.heads = 0 OR (',
        replace: 'IF v_room AND (ahead.heads >= 0 OR (',
      },
      mysql: { find: 'IF v_room AND (v_ahead = 0 OR (', replace: 'IF v_room AND (v_ahead >= 0 OR (' },
      quick: { find: ' AND crowded = 0', replace: '' },
    },
  },
  {
    bug: 'a turn that is taken by whoever asks',
    caughtBy: ['no-barging'],
    patch: { postgres: { find: 'IF v_first AND', replace: 'IF v_first IS NOT NULL AND' } },
  },
  {
    bug: 'a head of the line that is told though it is dead',
    caughtBy: ['dead-head'],
    patch: {
      postgres: {
        find: "WHERE w.mode = 'e' AND w.channel <> ''",
        replace: "WHERE true OR w.channel <> ''",
      },
    },
  },
  {
    bug: 'a lease that ends by the clock of the client',
    caughtBy: ['wrong-clocks'],
    patch: {},
    mutate: (inner) => new EndsByItsOwnClock(inner),
  },
  {
    bug: "a renewal of a lease that is somebody else's",
    caughtBy: ['stale-owner/exclusive', 'owner-identity'],
    patch: {
      postgres: {
        find: 'AS t ON t.key = a.key AND t.owner = a.owner',
        replace: 'AS t ON t.key = a.key AND t.owner IS NOT NULL',
      },
      mysql: {
        find: 'AND t.owner = CONVERT(a.o USING ascii) COLLATE ascii_bin',
        replace: 'AND t.owner IS NOT NULL',
      },
    },
  },
  {
    bug: 'a mark that nobody looks for',
    caughtBy: ['late-claim/exclusive'],
    patch: {
      postgres: { find: 'IF NOT v_marked THEN', replace: 'IF v_fence > 0 THEN' },
      mysql: { find: ' AND g.until > v_now)', replace: ' AND g.until < 0)' },
    },
  },
  {
    bug: 'a grant of what somebody holds',
    caughtBy: ['busy-key/exclusive'],
    patch: {
      postgres: {
        find: 'AND NOT l.crowded AND l.closed_until <= clock_timestamp()',
        replace: 'AND NOT l.crowded',
      },
      mysql: { find: 'SET v_room = l_closed <= v_now AND', replace: 'SET v_room =' },
      quick: { find: ' AND closed_until <= ', replace: ' AND 0 <= ' },
    },
  },
];

/** No case of the contract waits for an hour, after which a key is forgotten: this one is found by a look at the rows. */
const FORGETS_FENCES: SqlMutant['patch'] = {
  postgres: {
    find: 'AS f SET fence = v_fence WHERE f.fence < v_fence;',
    replace: 'AS f SET fence = f.fence WHERE f.fence < v_fence;',
  },
  mysql: {
    find: 'SET fence = v_fence WHERE fence < v_fence;',
    replace: 'SET fence = fence WHERE fence < v_fence;',
  },
};

interface Database {
  readonly name: string;
  /** What its bugs are planted into. */
  readonly kind: 'postgres' | 'mysql' | 'quick';
  open(): Promise<PostgresTrial | MysqlTrial>;
  statements(name: string): readonly string[];
  backend(url: string, name: string): LockBackend;
  sweep(name: string): string;
}

const MARIADB = {
  open: () => MysqlTrial.open(),
  statements: (name: string) => migrationStatements({ name }),
  sweep: (name: string) => `CALL ${name}_sweep_v1('', 100)`,
};

const DATABASES: readonly Database[] = [
  {
    name: 'the functions in PostgreSQL',
    kind: 'postgres',
    open: () => PostgresTrial.open(),
    statements: (name) => [migration({ name })],
    backend: (url, name) => postgres(url, { name, create: false, max: 2 }),
    sweep: (name) => `SELECT ${name}_sweep_v1('', 100)`,
  },
  {
    name: 'the procedures in MariaDB',
    kind: 'mysql',
    ...MARIADB,
    // connections that forget their session have the procedures do all
    backend: (url, name) => mysql(url, { name, create: false, resetOnRelease: true }),
  },
  {
    name: 'the single statements that are tried first in MariaDB',
    kind: 'quick',
    ...MARIADB,
    backend: (url, name) => mysql(url, { name, create: false }),
  },
];

type Execute = (query: { readonly sql: string }, callback: unknown) => unknown;
/** Its types hide that this is a class. */
const { Connection } = createRequire(import.meta.url)('mysql2') as {
  Connection: { prototype: { execute: Execute } };
};
const { execute } = Connection.prototype;

const HOUR_US = 3_600_000_000n;

describe.each(DATABASES)('a bug that is planted into $name', (database) => {
  let trial: PostgresTrial | MysqlTrial;
  let planted = 0;
  beforeAll(async () => {
    trial = await database.open();
  });
  afterEach(() => {
    Connection.prototype.execute = execute;
  });
  afterAll(() => trial.close());

  const inTables = ({ patch }: Pick<SqlMutant, 'patch'>): Patch | undefined =>
    database.kind === 'postgres' ? patch.postgres : patch.mysql;

  /** Into each statement that is prepared, on its way to the server. */
  const plantOnTheWay = ({ find, replace }: Patch): void => {
    Connection.prototype.execute = function (query, callback) {
      return execute.call(this, { ...query, sql: query.sql.replaceAll(find, replace) }, callback);
    };
  };

  /** Tables and functions of a name of their own. */
  const plant = async (patch?: Patch): Promise<string> => {
    const name = `planted_${++planted}`;
    const right = database.statements(name);
    const wrong = right.map((sql) => (patch ? sql.replaceAll(patch.find, patch.replace) : sql));
    expect(wrong.join() === right.join()).toBe(patch === undefined);
    for (const sql of wrong) await trial.server.query(sql);
    return name;
  };

  const failuresOf = async (
    caseIds: readonly string[],
    name: string,
    mutate: SqlMutant['mutate'] = (inner) => inner,
  ): Promise<readonly string[]> => {
    const runner = new CollectingRunner();
    describeLockBackend('mutant', {
      runner,
      shortTtlMs: 600,
      traits: { modes: ['exclusive', 'shared', 'permits'], fence: 'strict', wakeUp: 'queue', stay: true },
      create: () => mutate(database.backend(trial.server.url, name)),
    });
    const names = new Map(contractCases.map((one) => [one.name, one.id]));
    const results = await runner.run((title) => caseIds.includes(names.get(title) ?? ''));
    expect(results).toHaveLength(caseIds.length);
    return results.filter(({ error }) => error !== undefined).map((result) => names.get(result.name) ?? '');
  };

  it('is in none of them: the cases that find bugs pass', async () => {
    const all = [...new Set(MUTANTS.flatMap(({ caughtBy }) => caughtBy))];
    expect(await failuresOf(all, await plant())).toEqual([]);
  }, 60_000);

  it.each(MUTANTS.filter(({ patch, mutate }) => mutate ?? inTables({ patch })))(
    'is found by the contract: $bug',
    async (mutant) => {
      const { patch, mutate } = mutant;
      const onTheWay = database.kind === 'quick' ? patch.quick : undefined;
      const { caughtBy } = { ...mutant, ...onTheWay };
      if (onTheWay) plantOnTheWay(onTheWay);
      const name = await plant(onTheWay ? undefined : inTables(mutant));
      expect([...(await failuresOf(caughtBy, name, mutate))].sort()).toEqual([...caughtBy].sort());
    },
    60_000,
  );

  it.each([
    ['is found by a look at the rows: a row that is swept away together with its fence', true],
    ['is not in the sweep: it leaves the highest fence that it forgets', false],
  ])('%s', async (_, wrong) => {
    const name = await plant(wrong ? inTables({ patch: FORGETS_FENCES }) : undefined);
    const { backend } = await trial.connect(database.backend(trial.server.url, name));
    const grant = await granted(backend, trial.claim());
    await backend.release(grant);
    await trial.server.query(`UPDATE ${name}_lock SET fence = fence - ${2n * HOUR_US}`);
    await trial.server.query(database.sweep(name));
    expect(await trial.server.query(`SELECT 1 FROM ${name}_lock`)).toEqual([]);
    const [floor] = await trial.server.query(`SELECT fence FROM ${name}_floor`);
    const forgotten = BigInt(String(floor?.['fence'])) < grant.fence - 2n * HOUR_US;
    expect(forgotten).toBe(wrong);
    await trial.stopAll();
  });
});
