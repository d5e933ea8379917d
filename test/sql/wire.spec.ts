import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Claim, LockBackend } from '../../lib/backends/lock-backend.js';
import { mysql } from '../../lib/backends/mysql/index.js';
import { postgres } from '../../lib/backends/postgres/index.js';
import { MysqlTrial } from '../support/mysql-trial.js';
import { PostgresTrial } from '../support/postgres-trial.js';
import { busy, failureOf, granted, listenTo, until } from '../support/redis-trial.js';
import { MysqlLine, PostgresLine } from '../support/sql-line.js';
import { nth, Wire, type LineKind } from '../support/wire.js';

interface Database {
  readonly name: string;
  readonly kind: LineKind;
  open(): Promise<PostgresTrial | MysqlTrial>;
  backend(port: number): LockBackend;
}

const POSTGRES: Database = {
  name: 'PostgreSQL',
  kind: PostgresLine,
  open: () => PostgresTrial.open(),
  backend: (port) => postgres(`postgres://postgres@127.0.0.1:${port}/postgres`),
};
const MARIADB: Database = {
  name: 'MariaDB',
  kind: MysqlLine,
  open: () => MysqlTrial.open(),
  backend: (port) => mysql(`mysql://root@127.0.0.1:${port}/locks`),
};

describe.each([POSTGRES, MARIADB])('a wire to $name', ({ name, kind, open, backend }) => {
  let trial: PostgresTrial | MysqlTrial;
  let wire: Wire;
  beforeAll(async () => {
    trial = await open();
  });
  beforeEach(async () => {
    wire = await Wire.to(trial.server.port, Math.random, kind);
  });
  afterEach(async () => {
    await trial.stopAll();
    await wire.stop();
  });
  afterAll(() => trial.close());

  /** The first claim of a key has to make its row. */
  const known = async (locks: LockBackend, key: string): Promise<Claim> => {
    await locks.release(await granted(locks, trial.claim({ key })));
    return trial.claim({ key });
  };

  it('loses the reply to the n-th step of a kind, which was carried out', async () => {
    const { backend: locks } = await trial.connect(backend(wire.port));
    const claims = [await known(locks, 'trial:first'), await known(locks, 'trial:second')] as const;
    const [, claim] = claims;
    const lost = wire.loseReply(nth(2, (names) => names.some((word) => word.includes('_claim_'))));
    const first = await granted(locks, claims[0]);
    expect(await failureOf(locks.claim(claim))).toMatchObject({ certainty: 'unknown' });
    await lost.arrived;
    const [holder] = (await locks.inspect(claim.key))?.holders ?? [];
    expect(holder?.owner).toBe(claim.owner);
    expect(await locks.release(first)).toBe('released');
  });

  it('counts the steps', async () => {
    const { backend: locks } = await trial.connect(backend(wire.port));
    const claim = await known(locks, 'trial:counted');
    const before = wire.commands;
    const grant = await granted(locks, claim);
    await locks.renew([grant]);
    await locks.release(grant);
    expect(wire.commands - before).toBe(3);
  });

  if (name !== 'PostgreSQL') return;

  it('keeps notifications back when it is deaf, and nothing else', async () => {
    const { backend: near } = await trial.connect();
    const { backend: far } = await trial.connect(backend(wire.port));
    const hintsOf = async (key: string): Promise<{ hints: number }> => {
      const grant = await granted(near, trial.claim({ key }));
      const hints = listenTo(await busy(far, trial.claim({ key, queue: true })));
      await near.release(grant);
      return hints;
    };
    const heard = await hintsOf('trial:heard');
    await until(() => heard.hints > 0, 'a hint');
    wire.deaf = true;
    const unheard = await hintsOf('trial:unheard');
    await until(() => wire.unheard > 0, 'a notification that is kept back');
    wire.deaf = false;
    const after = await hintsOf('trial:after');
    await until(() => after.hints > 0, 'a hint');
    expect(unheard.hints).toBe(0);
  });
});
