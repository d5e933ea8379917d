import { randomBytes } from 'node:crypto';
import type { Clock } from '../../core/clock.js';
import { BackendError } from '../backend-error.js';
import { Hints } from '../hints.js';
import type { BackendContext, NodeHealth } from '../lock-backend.js';
import { poolEnd } from '../sql/pool-end.js';
import { cannotStart, messageOf, NotSent, REFUSALS, sqlError } from '../sql/sql-error.js';
import type { SqlSession, SqlValue, SqlVerb } from '../sql/sql-session.js';
import { within } from '../time-limit.js';
import {
  clientLike,
  loadPg,
  type KnownPoolOptions,
  type PostgresClient,
  type PostgresConnection,
  type PostgresPool,
  type PostgresPoolClient,
} from './postgres-client.js';
import { PostgresEar } from './postgres-ear.js';
import { SET_LOCK_LIMIT } from './lock-limit.js';
import { isConflict, isLostStatement, refusalOf } from './postgres-error.js';
import type { ResolvedPostgresSettings } from './postgres-settings.js';
import { PreparedStep, takesSteps } from './prepared-step.js';
import { checkDatabase } from './start-check.js';
import { statementsOf, warmUp, type Statement } from './statements.js';

/** What `postgres()` was given. */
export type PostgresTarget =
  | { readonly pool: PostgresPool }
  | { readonly url?: string | undefined; readonly options: Record<string, unknown> };

/** For one step; whoever runs into another transaction has done nothing. */
const TRIES = 4;
/** A server that has not answered by then is said to be down, and a connection that has not is closed. */
const ANSWER_LIMIT_MS = 5_000;
const CLOSE_LIMIT_MS = 1_000;
/**
 * So many connections are made at the start, and have run every function once. Else the first who need them would wait
 * for it, while others go in and out.
 */
const WARM_CONNECTIONS = 4;

/** The connections to one database: a pool for the steps, and one that listens. */
export class PostgresSession implements SqlSession {
  readonly hints: Hints;
  readonly server: string;
  channel = '';
  private statements: Readonly<Record<SqlVerb, Statement>>;
  private prepares = true;
  private ear: PostgresEar | undefined;
  /** A pool tells of idle connections that break; without a listener that would end the process. */
  private readonly onIdleError = (): void => undefined;

  private constructor(
    private readonly pool: PostgresPool,
    private readonly own: boolean,
    private readonly makeClient: () => PostgresClient | undefined,
    private readonly context: BackendContext,
    private readonly settings: ResolvedPostgresSettings,
    /** Of a pool of our own: those that are there or are being made. */
    private readonly clients: ReadonlySet<PostgresClient> = new Set(),
  ) {
    this.server = `PostgreSQL at ${addressOf(pool)}`;
    this.hints = new Hints(context);
    this.statements = statementsOf(settings.names, false);
  }

  static async open(
    target: PostgresTarget,
    settings: ResolvedPostgresSettings,
    context: BackendContext,
  ): Promise<PostgresSession> {
    const session =
      'pool' in target
        ? new PostgresSession(target.pool, false, () => clientLike(target.pool), context, settings)
        : await PostgresSession.connect(target.url, target.options, settings, context);
    session.pool.on('error', session.onIdleError);
    try {
      await within(context.clock, ANSWER_LIMIT_MS, session.begin());
    } catch (error) {
      await session.close();
      if (error instanceof BackendError) throw error;
      throw cannotStart(session.server, error, refusalOf(error), 'postgres');
    }
    return session;
  }

  get clock(): Clock {
    return this.context.clock;
  }

  async step(verb: SqlVerb, what: string, given: readonly SqlValue[]): Promise<readonly string[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.send(this.statements[verb], given);
      } catch (error) {
        const isLost = isLostStatement(error);
        if (isLost) this.prepares = false;
        if (attempt < TRIES && (isLost || isConflict(error))) continue;
        throw sqlError(this.server, `${verb} ${what}`, error, refusalOf(error));
      }
    }
  }

  async health(limitMs: number): Promise<readonly NodeHealth[]> {
    const startedAtMs = this.clock.now();
    const node = addressOf(this.pool);
    try {
      const text = `SELECT (CASE WHEN pg_is_in_recovery() THEN 'replica ' ELSE 'primary ' END)
        || current_setting('transaction_read_only') || ' ' || current_setting('server_version')`;
      const [answer = ''] = await within(this.clock, limitMs, this.send({ name: '', text }, []));
      const [role = '', readOnly = '', version = ''] = answer.split(' ');
      if (readOnly === 'on') return [{ node, role, state: 'down', version, error: REFUSALS.readOnly }];
      return [{ node, role, state: 'up', latencyMs: this.clock.now() - startedAtMs, version }];
    } catch (error) {
      return [{ node, role: 'unknown', state: 'down', error: messageOf(error) }];
    }
  }

  async close(): Promise<void> {
    this.hints.forgetAll();
    this.ear?.close();
    if (!this.own) return void this.pool.off('error', this.onIdleError);
    const streams = [...this.clients].flatMap(({ connection }) => connection?.stream ?? []);
    await poolEnd(this.clock, CLOSE_LIMIT_MS, this.pool.end(), streams);
  }

  private static async connect(
    url: string | undefined,
    options: Record<string, unknown>,
    settings: ResolvedPostgresSettings,
    context: BackendContext,
  ): Promise<PostgresSession> {
    const { Pool, Client } = await loadPg();
    const clients = new Set<PostgresClient>();
    class KnownClient extends Client {
      constructor(given: object) {
        super(given);
        clients.add(this);
        this.on('end', () => clients.delete(this));
      }
    }
    const given = {
      ...(url !== undefined && { connectionString: url }),
      application_name: 'nestjs-interlock',
      keepAlive: true,
      connectionTimeoutMillis: ANSWER_LIMIT_MS,
      idleTimeoutMillis: 60_000,
      ...options,
    };
    const pool = new Pool({ Client: KnownClient, ...given });
    return new PostgresSession(pool, true, () => new Client(given), context, settings, clients);
  }

  private async begin(): Promise<void> {
    const { pooled } = await this.using(async (connection) => {
      const found = await checkDatabase(connection, this.server, this.settings);
      if (!found.pooled) await this.limitLocks(connection);
      return found;
    });
    const probe = pooled ? undefined : this.makeClient();
    this.prepares = !pooled;
    const { max = WARM_CONNECTIONS } = this.pool.options as KnownPoolOptions;
    const warm = this.own ? Math.min(max, WARM_CONNECTIONS) : 0;
    await Promise.all(Array.from({ length: warm }, (_, nth) => this.warmUp(nth)));
    if (!probe) return this.tellOfPolling(pooled);
    this.channel = `interlock_${randomBytes(12).toString('hex')}`;
    this.ear = new PostgresEar(
      () => this.makeClient() ?? probe,
      this.channel,
      this.hints,
      this.context,
      this.server,
    );
    await this.ear.open();
  }

  /** Once for each connection, where it is ours to say; else each step does it for itself. */
  private async limitLocks(first: PostgresConnection): Promise<void> {
    const { lock_timeout } = this.pool.options as KnownPoolOptions;
    if (!this.own || lock_timeout !== undefined) return;
    await first.query(SET_LOCK_LIMIT);
    this.pool.on('connect', (connection) => {
      connection.query(SET_LOCK_LIMIT).catch(() => undefined);
    });
    this.statements = statementsOf(this.settings.names, true);
  }

  private warmUp(nth: number): Promise<unknown> {
    return this.using((connection) => connection.query(warmUp(this.settings.names, `~${nth}`)));
  }

  private tellOfPolling(pooled: boolean): void {
    const why = pooled
      ? 'a pooler is in between, which hands each transaction to another connection'
      : 'the pool that was handed in does not say how to make one';
    const message = `Nothing can listen to ${this.server}, so waiting falls back to polling: ${why}.`;
    this.context.report(new BackendError(message, 'denied'));
  }

  private send({ name, text }: Statement, given: readonly SqlValue[]): Promise<readonly string[]> {
    return this.using(async (connection) => {
      const isPrepared = this.prepares && name !== '';
      if (isPrepared && takesSteps(connection) && given.every(isScalar)) {
        const values = given.map(String);
        return new Promise((resolve, reject) => {
          const step = new PreparedStep(name, text, values, ANSWER_LIMIT_MS, (error, answers) =>
            error ? reject(error) : resolve(answers),
          );
          connection.query(step);
        });
      }
      const { rows } = await connection.query({
        text,
        values: [...given],
        rowMode: 'array',
        query_timeout: ANSWER_LIMIT_MS,
        ...(isPrepared && { name }),
      });
      return (rows as [string][]).map(([first]) => first);
    });
  }

  /** A connection on loan. It goes back when the server has answered, in whatever way, and else is closed. */
  private async using<T>(work: (connection: PostgresPoolClient) => Promise<T>): Promise<T> {
    const connection = await this.borrow();
    let broken = false;
    const onError = (): void => {
      broken = true;
    };
    connection.on('error', onError);
    try {
      return await work(connection);
    } catch (error) {
      broken ||= refusalOf(error) === undefined && !(error instanceof BackendError);
      broken ||= isLostStatement(error);
      throw error;
    } finally {
      connection.off('error', onError);
      connection.release(broken);
    }
  }

  private async borrow(): Promise<PostgresPoolClient> {
    const { pool, clock } = this;
    const coming = pool.connect();
    try {
      // a pool of ours has that limit itself
      return this.own ? await coming : await within(clock, ANSWER_LIMIT_MS, coming);
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

function isScalar(value: SqlValue): value is Exclude<SqlValue, readonly unknown[]> {
  return typeof value !== 'object';
}

function addressOf(pool: PostgresPool): string {
  const { connectionString, host, port } = pool.options as KnownPoolOptions;
  if (connectionString !== undefined && URL.canParse(connectionString)) {
    const url = new URL(connectionString);
    if (url.hostname !== '') return `${url.hostname}:${url.port || 5432}`;
  }
  return `${host ?? process.env['PGHOST'] ?? 'localhost'}:${port ?? process.env['PGPORT'] ?? 5432}`;
}
