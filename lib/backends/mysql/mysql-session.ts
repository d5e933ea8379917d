import type { Clock } from '../../core/clock.js';
import { BackendError } from '../backend-error.js';
import { Hints } from '../hints.js';
import type { BackendContext, NodeHealth } from '../lock-backend.js';
import { poolEnd } from '../sql/pool-end.js';
import { cannotStart, messageOf, REFUSALS, sqlError } from '../sql/sql-error.js';
import type { SqlSession, SqlValue, SqlVerb } from '../sql/sql-session.js';
import { within } from '../time-limit.js';
import { listOf, listStatement, type Row } from './listing.js';
import {
  coreOf,
  hangUp,
  loadMysql2,
  optionsOf,
  streamsOf,
  type CorePool,
  type MysqlPool,
} from './mysql-client.js';
import { cannotPrepare, isConflict, refusalOf } from './mysql-error.js';
import { ANSWER_LIMIT_MS, MysqlRequest, type MysqlAsk, type MysqlDesk } from './mysql-request.js';
import type { ResolvedMysqlSettings } from './mysql-settings.js';
import { QuickSteps, type Change, type QuickStatement } from './quick-steps.js';
import { checkDatabase } from './start-check.js';

/** What `mysql()` was given. */
export type MysqlTarget =
  | { readonly pool: MysqlPool }
  | { readonly url?: string | undefined; readonly options: Record<string, unknown> };

/** For one step; whoever runs into another transaction has done nothing. */
const TRIES = 4;
const START_LIMIT_MS = 15_000;
const CLOSE_LIMIT_MS = 1_000;
/** Once for each connection of ours; the procedures do it for themselves. */
const SET_UP =
  'SET SESSION autocommit = 1, innodb_lock_wait_timeout = LEAST(@@SESSION.innodb_lock_wait_timeout, 1)';

/** The connections to one database. */
export class MysqlSession implements SqlSession {
  readonly channel = '';
  readonly hints: Hints;
  private readonly server: string;
  private readonly address: string;
  /** Only where connections are ours: others may have to wait for a row for longer than a step may take. */
  private readonly quick: QuickSteps | undefined;
  private readonly core: CorePool;
  private readonly desk: MysqlDesk;
  private prepares = true;

  private constructor(
    private readonly pool: MysqlPool,
    private readonly own: boolean,
    private readonly context: BackendContext,
    private readonly settings: ResolvedMysqlSettings,
  ) {
    this.core = coreOf(pool);
    const { host = 'localhost', port = 3306, resetOnRelease = false } = optionsOf(this.core);
    const isLasting = own && !resetOnRelease;
    if (isLasting) this.quick = new QuickSteps(settings.names, context.clock);
    const setUp = isLasting ? { sql: SET_UP, done: new WeakSet() } : undefined;
    this.desk = { pool: this.core, clock: context.clock, setUp };
    this.address = `${host}:${port}`;
    this.server = `MySQL at ${this.address}`;
    this.hints = new Hints(context);
  }

  static async open(
    target: MysqlTarget,
    settings: ResolvedMysqlSettings,
    context: BackendContext,
  ): Promise<MysqlSession> {
    const pool = 'pool' in target ? target.pool : await MysqlSession.connect(target.url, target.options);
    const session = new MysqlSession(pool, !('pool' in target), context, settings);
    try {
      await session.check();
    } catch (error) {
      await session.close();
      if (error instanceof BackendError) throw error;
      throw cannotStart(session.server, error, refusalOf(error), 'mysql');
    }
    return session;
  }

  get clock(): Clock {
    return this.context.clock;
  }

  async step(verb: SqlVerb, what: string, given: readonly SqlValue[]): Promise<readonly string[]> {
    const values = inOneDocument(given);
    for (let attempt = 1; ; attempt++) {
      try {
        if (verb === 'list') return await this.list(given);
        const quick = this.quick?.of(verb, given);
        const answer = quick && (await this.tryQuick(quick));
        if (answer !== undefined) return [answer];
        if (quick) this.quick?.wasUnfit(quick.key);
        const answers = await this.call(verb, values);
        if (verb === 'claim' && answers[0]?.startsWith('g')) this.quick?.hasRow(String(given[0]));
        return answers;
      } catch (error) {
        if (attempt < TRIES && isConflict(error)) continue;
        throw sqlError(this.server, `${verb} ${what}`, error, refusalOf(error));
      }
    }
  }

  async health(limitMs: number): Promise<readonly NodeHealth[]> {
    const node = this.address;
    const startedAtMs = this.clock.now();
    try {
      const asked = this.ask({ sql: 'SELECT VERSION(), @@read_only', rowsAsArray: true });
      const rows = await within(this.clock, limitMs, asked);
      const [version = '', readOnly] = (rows as [string, number][])[0] ?? [];
      if (Number(readOnly) !== 0)
        return [{ node, role: 'replica', state: 'down', version, error: REFUSALS.readOnly }];
      const latencyMs = this.clock.now() - startedAtMs;
      return [{ node, role: 'primary', state: 'up', latencyMs, version }];
    } catch (error) {
      return [{ node, role: 'unknown', state: 'down', error: messageOf(error) }];
    }
  }

  async close(): Promise<void> {
    this.hints.forgetAll();
    if (!this.own) return;
    const streams = streamsOf(this.core);
    await poolEnd(this.clock, CLOSE_LIMIT_MS, this.pool.end(), streams);
  }

  private static async connect(
    url: string | undefined,
    options: Record<string, unknown>,
  ): Promise<MysqlPool> {
    const { createPool } = await loadMysql2();
    return createPool({
      ...(url !== undefined && { uri: url }),
      connectTimeout: ANSWER_LIMIT_MS,
      enableKeepAlive: true,
      // the stack of each call, for errors that say more by what they were about
      trace: false,
      ...options,
    });
  }

  private async call(verb: Exclude<SqlVerb, 'list'>, values: unknown[]): Promise<readonly string[]> {
    const sql = `CALL ${this.settings.names[verb]}(${values.map(() => '?').join(', ')})`;
    const sets = await this.ask({ sql, values, rowsAsArray: true });
    // what was selected, and behind it what there is to say of the call itself
    const [rows] = sets as [[string][]];
    return rows.map(([first]) => first);
  }

  /** Undefined when it changed nothing. */
  private async tryQuick({ sql, values, answer }: QuickStatement): Promise<string | undefined> {
    try {
      const change = (await this.ask({ sql, values, prepared: this.prepares })) as Change;
      if (change.affectedRows === 1) return answer(change);
    } catch (error) {
      if (!this.prepares || !cannotPrepare(error)) throw error;
      this.prepares = false;
    }
    return undefined;
  }

  private async list(page: readonly SqlValue[]): Promise<readonly string[]> {
    const rows = await this.ask({
      sql: listStatement(this.settings.names),
      values: [...page, ...page, ...page],
      rowsAsArray: true,
    });
    return listOf(rows as Row[]);
  }

  private ask(ask: MysqlAsk): Promise<unknown> {
    return new MysqlRequest(this.desk, ask).answer;
  }

  /** All of it over one connection. */
  private async check(): Promise<void> {
    const coming = this.pool.getConnection();
    const connection = await within(this.clock, START_LIMIT_MS, coming).catch((error: unknown) => {
      // it may come after all, when it is of no use to anybody here
      coming.then(
        (late) => late.release(),
        () => undefined,
      );
      throw error;
    });
    try {
      const check = checkDatabase(connection, this.server, this.settings);
      await within(this.clock, START_LIMIT_MS, check);
      connection.release();
    } catch (error) {
      if (refusalOf(error) === undefined && !(error instanceof BackendError)) hangUp(connection);
      else connection.release();
      throw error;
    }
  }
}

/** Lists side by side become one document of rows; anything else stays as it is. */
function inOneDocument(given: readonly SqlValue[]): unknown[] {
  const [first, ...others] = given;
  if (typeof first !== 'object') return [...given];
  return [JSON.stringify(first.map((one, nth) => [one, ...others.map((list) => (list as unknown[])[nth])]))];
}
