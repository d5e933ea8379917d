import type { Clock } from '../../core/clock.js';
import type { Hints } from '../hints.js';
import type { BackendContext, NodeHealth } from '../lock-backend.js';

/** The steps that a database carries out; each is one statement. */
export type SqlVerb =
  'abandon' | 'claim' | 'evict' | 'list' | 'pass' | 'release' | 'renew' | 'stay' | 'sweep' | 'turn';

export type SqlValue = string | number | boolean | readonly (string | number)[];

/** What steps go through: the connections to one database. */
export interface SqlSession {
  readonly clock: Clock;
  readonly hints: Hints;
  /** Where this process is told of its turn; '' where nobody tells. */
  readonly channel: string;
  /**
   * One step, and the first column of what it answers.
   *
   * @param what the key that it is about, or how many, for people
   * @throws BackendError
   */
  step(verb: SqlVerb, what: string, given: readonly SqlValue[]): Promise<readonly string[]>;
  /** Never rejects. */
  health(limitMs: number): Promise<readonly NodeHealth[]>;
  /** Closes what it opened. */
  close(): Promise<void>;
}

/** Connects, and checks the database. Leaves nothing open when it fails. */
export type OpenSqlSession = (context: BackendContext) => Promise<SqlSession>;
