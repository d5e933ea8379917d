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
  loadMysql2,
  optionsOf,
  streamsOf,
  type MysqlConnection,
  type MysqlPool,
} from './mysql-client.js';
import { isConflict, refusalOf } from './mysql-error.js';
import type { ResolvedMysqlSettings } from './mysql-settings.js';
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

/** The connections to one database. */
export class MysqlSession implements SqlSession {
  readonly channel = '';
  readonly hints: Hints;
  private readonly server: string;
  private readonly address: string;

  private constructor(
    private readonly pool: MysqlPool,
    private readonly own: boolean,
    private readonly context: BackendContext,
    private readonly settings: ResolvedMysqlSettings,
  ) {
    const { host = 'localhost', port = 3306 } = optionsOf(pool);
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
        return await (verb === 'list' ? this.list(given) : this.call(verb, values));
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

  private async list(page: readonly SqlValue[]): Promise<readonly string[]> {
    const rows = await this.send(listStatement(this.settings.names), [...page, ...page, ...page]);
    return listOf(rows as Row[]);
  }

  private send(sql: string, values: unknown[]): Promise<unknown> {
    return this.using(async (connection) => {
      // a limit of mysql2's own would keep its timer where the connection breaks first
      const answer = connection.query({ sql, values, rowsAsArray: true });
      const [rows] = await within(this.clock, ANSWER_LIMIT_MS, answer);
      return rows;
    });
  }

  /** A connection on loan. It goes back when the server has answered, in whatever way, and else is closed. */
  private async using<T>(work: (connection: MysqlConnection) => Promise<T>): Promise<T> {
    const connection = await this.borrow();
    try {
      const result = await work(connection);
      connection.release();
      return result;
    } catch (error) {
      if (refusalOf(error) === undefined && !(error instanceof BackendError)) hangUp(connection);
      else connection.release();
      throw error;
    }
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
