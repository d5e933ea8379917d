import type { Clock, Timer } from '../../core/clock.js';
import { NotSent } from '../sql/sql-error.js';
import { hangUp, type CoreConnection, type CorePool, type MysqlQuery } from './mysql-client.js';
import { refusalOf } from './mysql-error.js';

/** A server that has not answered by then is said to be down, and a connection that has not is closed. */
export const ANSWER_LIMIT_MS = 5_000;

/** A statement, and how it is sent. */
export interface MysqlAsk extends MysqlQuery {
  /** By its number, prepared once for each connection. */
  readonly prepared?: boolean;
}

/** Where statements go, and what each new connection is told first. */
export interface MysqlDesk {
  readonly pool: CorePool;
  readonly clock: Clock;
  /** Undefined for connections that somebody else has, which stay as they are. */
  readonly setUp: { readonly sql: string; readonly done: WeakSet<CoreConnection> } | undefined;
}

/**
 * One statement over a connection on loan, by callbacks: promises for each part of it, and a timer for each, cost this
 * process as much as all that is left. The connection goes back when the server has answered, in whatever way, and else
 * is closed.
 */
export class MysqlRequest {
  readonly answer: Promise<unknown>;
  private resolve!: (rows: unknown) => void;
  private reject!: (reason: unknown) => void;
  private readonly timer: Timer;
  private connection: CoreConnection | undefined;
  private isSent = false;
  private isSettled = false;

  constructor(
    private readonly desk: MysqlDesk,
    private readonly ask: MysqlAsk,
  ) {
    this.answer = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.timer = desk.clock.setTimer(this.onSilence, ANSWER_LIMIT_MS);
    desk.pool.getConnection(this.onConnection);
  }

  private readonly onConnection = (error: unknown, connection: CoreConnection | undefined): void => {
    // it came after all, when it is of no use to anybody here
    if (this.isSettled) return connection?.release();
    if (!connection) return this.fail(new NotSent(error));
    this.connection = connection;
    const { setUp } = this.desk;
    if (!setUp || setUp.done.has(connection)) return this.send(connection);
    connection.query({ sql: setUp.sql }, (failure) => {
      if (this.isSettled) return;
      if (failure) return this.fail(new NotSent(failure));
      setUp.done.add(connection);
      this.send(connection);
    });
  };

  private send(connection: CoreConnection): void {
    const { prepared = false, ...query } = this.ask;
    this.isSent = true;
    try {
      if (prepared) connection.execute(query, this.onAnswer);
      else connection.query(query, this.onAnswer);
    } catch (error) {
      // what mysql2 will not send it throws, and here nobody else would catch it
      this.fail(new NotSent(error));
    }
  }

  private readonly onAnswer = (error: unknown, rows: unknown): void => {
    if (this.isSettled) return;
    if (error) return this.fail(error);
    this.settle();
    this.connection?.release();
    this.resolve(rows);
  };

  private readonly onSilence = (): void => {
    if (this.isSettled) return;
    const silence = new Error(`no answer within ${ANSWER_LIMIT_MS} ms`);
    this.fail(this.isSent ? silence : new NotSent(silence));
  };

  private fail(reason: unknown): void {
    this.settle();
    const { connection } = this;
    if (connection && refusalOf(reason) === undefined) hangUp(connection);
    else connection?.release();
    this.reject(reason);
  }

  private settle(): void {
    this.isSettled = true;
    this.timer.clear();
  }
}
