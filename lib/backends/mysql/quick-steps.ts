import type { Clock } from '../../core/clock.js';
import type { SqlValue, SqlVerb } from '../sql/sql-session.js';
import type { MysqlNames } from './mysql-names.js';
import { NOW } from './procedures/procedure.js';

/** A key that had something to it is not tried the quick way for so long. */
const CROWDED_MS = 1_000;
/** Of so many keys is known whether they have a row; then all of that is forgotten. */
const MOST_KEYS = 10_000;

/** What is known of a statement that changed rows. */
export interface Change {
  /** Rows that matched, whether they were changed or not. */
  readonly affectedRows: number;
  /** What the statement made of `LAST_INSERT_ID(…)`: the fence. */
  readonly insertId: number | string;
}

/** A statement to be prepared, with its values. */
export interface QuickStatement {
  readonly key: string;
  readonly sql: string;
  readonly values: (string | number)[];
  /** As the procedure answers, when the row matched. */
  readonly answer: (change: Change) => string;
}

/**
 * The usual case of the steps that come all the time, as one guarded UPDATE: an exclusive lock, and nobody else about. It
 * costs half of what the procedure does. Where the row does not match, nothing was changed, and the procedure finds out
 * what to do.
 *
 * The server reads its clock when the statement begins, so before it may have to wait for the row. By such an early time
 * a key is closed for longer than it is, and a lease that is given ends sooner.
 */
export class QuickSteps {
  private readonly texts: Readonly<Record<'claim' | 'pass' | 'release', string>>;
  /** The keys that have a row, and from when on it is worth a try. */
  private readonly worthAtMs = new Map<string, number>();

  constructor(
    names: MysqlNames,
    private readonly clock: Clock,
  ) {
    this.texts = quickTexts(names);
  }

  /** Undefined when only the procedure can do it, or probably: it makes the row of a key that is new. */
  of(verb: SqlVerb, given: readonly SqlValue[]): QuickStatement | undefined {
    const statement = this.statementOf(verb, given as readonly (string | number)[]);
    if (!statement) return undefined;
    const worthAtMs = this.worthAtMs.get(statement.key) ?? (verb === 'claim' ? Infinity : 0);
    return worthAtMs === 0 || this.clock.now() >= worthAtMs ? statement : undefined;
  }

  /** The row of this key did not match. */
  wasUnfit(key: string): void {
    this.remember(key, this.clock.now() + CROWDED_MS);
  }

  /** The procedure granted the key, so it has a row. */
  hasRow(key: string): void {
    if (!this.worthAtMs.has(key)) this.remember(key, 0);
  }

  private remember(key: string, worthAtMs: number): void {
    if (this.worthAtMs.size >= MOST_KEYS) this.worthAtMs.clear();
    this.worthAtMs.set(key, worthAtMs);
  }

  private statementOf(verb: SqlVerb, given: readonly (string | number)[]): QuickStatement | undefined {
    if (verb === 'claim') return this.taking('claim', '', given);
    if (verb === 'pass') {
      const [from = '', ...wish] = given;
      return this.taking('pass', from, wish);
    }
    const [key = '', owner = '', lingerMs] = given;
    if (verb !== 'release' || lingerMs !== 0) return undefined;
    return { key: String(key), sql: this.texts.release, values: [key, owner], answer: () => '1' };
  }

  private taking(
    verb: 'claim' | 'pass',
    from: string | number,
    wish: readonly (string | number)[],
  ): QuickStatement | undefined {
    const [key = '', owner = '', mode, , , ttlMs, delayMs] = wish;
    if (mode !== 'e') return undefined;
    const leaseUs = Number(ttlMs) * 1_000;
    const closedUs = leaseUs + Number(delayMs) * 1_000;
    const values = [owner, leaseUs, closedUs, key];
    if (verb === 'pass') values.push(from);
    const before = verb === 'pass' ? '1 g' : 'g';
    return {
      key: String(key),
      sql: this.texts[verb],
      values,
      answer: ({ insertId }) => `${before} ${insertId}`,
    };
  }
}

/** Each is committed by itself, or does nothing; and changes a row of which nothing is to be known but what is in it. */
export function quickTexts(names: MysqlNames): QuickSteps['texts'] {
  const { lock } = names;
  const alone = '`key` = ? AND crowded = 0 AND @@autocommit = 1';
  // what the client reads of a larger number would be rounded
  const exact = `fence < ${Number.MAX_SAFE_INTEGER}`;
  const take = `fence = LAST_INSERT_ID(GREATEST(fence + 1, ${NOW})), owner = ?, lingers = 0,
       lease_until = ${NOW} + CAST(? AS SIGNED), closed_until = ${NOW} + CAST(? AS SIGNED)`;
  const mine = `owner = ? AND lingers = 0 AND lease_until > ${NOW}`;
  const update = (verb: keyof QuickSteps['texts']): string =>
    // for people who look at what the server is doing
    `UPDATE /* ${names[verb].replaceAll('`', '')} */ ${lock} SET`;
  return {
    claim: `${update('claim')} ${take} WHERE ${alone} AND closed_until <= ${NOW} AND ${exact}`,
    pass: `${update('pass')} released = owner, ${take} WHERE ${alone} AND ${mine} AND ${exact}`,
    // the owner stays: a row that keeps its length is changed in its place
    release: `${update('release')} lease_until = 0, closed_until = 0 WHERE ${alone} AND ${mine}`,
  };
}
