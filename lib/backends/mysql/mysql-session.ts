import type { Clock } from '../../core/clock.js';
import { BackendError } from '../backend-error.js';
import { Hints } from '../hints.js';
import type { BackendContext, NodeHealth } from '../lock-backend.js';
import { poolEnd } from '../sql/pool-end.js';
import { cannotStart, messageOf, NotSent, REFUSALS, sqlError } from '../sql/sql-error.js';
import type { SqlSession, SqlValue, SqlVerb } from '../sql/sql-session.js';
import { within } from '../time-limit.js';
import { listOf, listStatement, type Row } from './listing.js';
import {
  hangUp,
  lastingPart,
  loadMysql2,
  optionsOf,
  streamsOf,
  type MysqlConnection,
  type MysqlPool,
} from './mysql-client.js';
import { cannotPrepare, isConflict, refusalOf } from './mysql-error.js';
import type { ResolvedMysqlSettings } from './mysql-settings.js';
import { QuickSteps, type Change, type QuickStatement } from './quick-steps.js';
import { checkDatabase } from './start-check.js';

/** What `mysql()` was given. */
export type MysqlTarget =
  | { readonly pool: MysqlPool }
  | { readonly url?: string | undefined; readonly options: Record<string, unknown> };

/** For one step; whoever runs into another transaction has done nothing. */
const TRIES = 4;
/** A server that has not answered by then is said to be down, and a connection that has not is closed. */
const ANSWER_LIMIT_MS = 5_000;
const START_LIMIT_MS = 15_000;
const CLOSE_LIMIT_MS = 1_000;
/** Once for each connection of ours; the procedures do it for themselves. */
const SET_LOCK_LIMIT = 'SET SESSION innodb_lock_wait_timeout = LEAST(@@SESSION.innodb_lock_wait_timeout, 1)';

/** The connections to one database. */
export class MysqlSession implements SqlSession {
  readonly channel = '';
  readonly hints: Hints;
  private readonly server: string;
  private readonly address: string;
  /** Only where connections are ours: others may have to wait for a row for longer than a step may take. */
  private readonly quick: QuickSteps | undefined;
  private readonly limited = new WeakSet<object>();
  private prepares = true;

  private constructor(
    private readonly pool: MysqlPool,
    private readonly own: boolean,
    private readonly context: BackendContext,
    private readonly settings: ResolvedMysqlSettings,
  ) {
    const { host = 'localhost', port = 3306, resetOnRelease = false } = optionsOf(pool);
    if (own && !resetOnRelease) this.quick = new QuickSteps(settings.names, context.clock);
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
      const check = session.using((connection) => checkDatabase(connection, session.server, settings));
      await within(context.clock, START_LIMIT_MS, check);
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
        if (!quick) return await this.call(verb, values);
        const answer = await this.tryQuick(quick);
        if (answer !== undefined) return [answer];
        const answers = await this.call(verb, values);
        this.quick?.wasUnfit(quick.key, answers[0]);
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
      const asked = this.using((connection) =>
        connection.query({ sql: 'SELECT VERSION(), @@read_only', rowsAsArray: true }),
      );
      const [rows] = await within(this.clock, limitMs, asked);
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
    const streams = streamsOf(this.pool);
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
      ...options,
    });
  }

  private async call(verb: Exclude<SqlVerb, 'list'>, values: unknown[]): Promise<readonly string[]> {
    const sets = await this.send(
      `CALL ${this.settings.names[verb]}(${values.map(() => '?').join(', ')})`,
      values,
    );
    // what was selected, and behind it what there is to say of the call itself
    const [rows] = sets as [[string][]];
    return rows.map(([first]) => first);
  }

  /** Undefined when it changed nothing. */
  private async tryQuick({ sql, values, answer }: QuickStatement): Promise<string | undefined> {
    const query = { sql, values: [...values] };
    try {
      const change = (await this.answerOf((connection) =>
        this.prepares ? connection.execute(query) : connection.query(query),
      )) as Change;
      if (change.affectedRows === 1) return answer(change);
    } catch (error) {
      if (!this.prepares || !cannotPrepare(error)) throw error;
      this.prepares = false;
    }
    return undefined;
  }

  private async list(page: readonly SqlValue[]): Promise<readonly string[]> {
    const rows = await this.send(listStatement(this.settings.names), [...page, ...page, ...page]);
    return listOf(rows as Row[]);
  }

  private send(sql: string, values: unknown[]): Promise<unknown> {
    return this.answerOf((connection) => connection.query({ sql, values, rowsAsArray: true }));
  }

  private answerOf(
    ask: (connection: MysqlConnection) => Promise<readonly [unknown, unknown]>,
  ): Promise<unknown> {
    return this.using(async (connection) => {
      // a limit of mysql2's own would keep its timer where the connection breaks first
      const [rows] = await within(this.clock, ANSWER_LIMIT_MS, ask(connection));
      return rows;
    });
  }

  /** A connection on loan. It goes back when the server has answered, in whatever way, and else is closed. */
  private async using<T>(work: (connection: MysqlConnection) => Promise<T>): Promise<T> {
    const connection = await this.borrow();
    try {
      if (this.quick) await this.limitLocks(connection);
      const result = await work(connection);
      connection.release();
      return result;
    } catch (error) {
      if (refusalOf(error) === undefined && !(error instanceof BackendError)) hangUp(connection);
      else connection.release();
      throw error;
    }
  }

  private async limitLocks(connection: MysqlConnection): Promise<void> {
    const lasting = lastingPart(connection);
    if (this.limited.has(lasting)) return;
    try {
      await within(this.clock, ANSWER_LIMIT_MS, connection.query({ sql: SET_LOCK_LIMIT }));
    } catch (error) {
      throw new NotSent(error);
    }
    this.limited.add(lasting);
  }

  private async borrow(): Promise<MysqlConnection> {
    const coming = this.pool.getConnection();
    try {
      return await within(this.clock, ANSWER_LIMIT_MS, coming);
    } catch (error) {
      // it may come after all, when it is of no use to anybody here
      coming.then(
        (connection) => connection.release(),
        () => undefined,
      );
      throw new NotSent(error);
    }
  }
}

/** Lists side by side become one document of rows; anything else stays as it is. */
function inOneDocument(given: readonly SqlValue[]): unknown[] {
  const [first, ...others] = given;
  if (typeof first !== 'object') return [...given];
  return [JSON.stringify(first.map((one, nth) => [one, ...others.map((list) => (list as unknown[])[nth])]))];
}
