import { createHash } from 'node:crypto';
import type { SqlVerb } from '../sql/sql-session.js';
import { WITH_LOCK_LIMIT } from './lock-limit.js';
import type { PostgresNames } from './postgres-names.js';

export interface Statement {
  /** By which it is prepared, once a connection; another one for each text. */
  readonly name: string;
  readonly text: string;
}

/** How many values each function takes. */
const CALLS: Readonly<Record<Exclude<SqlVerb, 'list'>, number>> = {
  abandon: 3,
  claim: 9,
  evict: 1,
  pass: 10,
  release: 3,
  renew: 3,
  stay: 2,
  sweep: 2,
  turn: 2,
};

/** Those that are asked for all the time: their functions leave the limit to the statement, or to the connection. */
const UNLIMITED = new Set<string>(['claim', 'pass', 'release'] satisfies SqlVerb[]);

/**
 * The statement of each verb. Each answers texts in its first column, whatever types a client was told to make of others.
 *
 * @param limited whether their connections limit how long a statement waits for a row
 */
export function statementsOf(names: PostgresNames, limited: boolean): Readonly<Record<SqlVerb, Statement>> {
  const calls = Object.entries(CALLS).map(([verb, count]) => {
    const values = Array.from({ length: count }, (_, nth) => `$${nth + 1}`);
    const call = `SELECT ${names[verb as keyof typeof CALLS]}(${values.join(', ')})`;
    return [verb, limited || !UNLIMITED.has(verb) ? call : `${call} ${WITH_LOCK_LIMIT}`];
  });
  const texts = [...calls, ['list', list(names)]] as [SqlVerb, string][];
  return Object.fromEntries(
    texts.map(([verb, text]) => [verb, { name: nameOf(verb, text), text }]),
  ) as Record<SqlVerb, Statement>;
}

function nameOf(verb: string, text: string): string {
  return `interlock_${verb}_${createHash('sha256').update(text).digest('hex').slice(0, 12)}`;
}

/** Goes once through the functions, and leaves no trace. No lock has such a key. */
export function warmUp({ claim, pass, release, renew, stay, abandon }: PostgresNames, key: string): string {
  const wish = (owner: string, mode = 'e'): string =>
    `'${key}', '${owner}', '${mode}', 1, 1, 1000, 0, true, ''`;
  const calls = [
    `${claim}(${wish('a')})`,
    `${claim}(${wish('b')})`,
    `${stay}(ARRAY['${key}'], ARRAY['b'])`,
    `${renew}(ARRAY['${key}'], ARRAY['a'], ARRAY[1000])`,
    `${pass}('a', ${wish('b')})`,
    `${release}('${key}', 'b', 0)`,
    `${claim}(${wish('c', 's')})`,
    `${abandon}('${key}', 'c', 0)`,
  ];
  return `BEGIN; ${calls.map((call) => `SELECT ${call};`).join(' ')} ROLLBACK`;
}

/** The locks from one key to another that are held or waited for, each as JSON. */
function list({ lock, holder, waiter }: PostgresNames): string {
  const ms = (end: string): string => `ceil(extract(epoch FROM ${end} - clock_timestamp()) * 1000)`;
  const facts = (row: string, mode: string, take: string, permits: string): string =>
    `json_build_object('owner', ${row}.owner, 'mode', ${mode}, 'take', ${take}, 'permits', ${permits}, 'fence', ${row}.fence::text,
      'leaseMs', ${ms(`${row}.lease_until`)}, 'closedMs', ${ms(`${row}.closed_until`)}, 'lingers', ${row}.lingers)`;
  return `
SELECT json_build_object('key', l.key, 'waiting', w.waiting, 'first', w.first, 'holders', coalesce(
    CASE WHEN l.closed_until > clock_timestamp() THEN json_build_array(${facts('l', "'e'", '1', '1')}) ELSE h.holders END,
    '[]'::json))::text
  FROM ${lock} AS l
 CROSS JOIN LATERAL (
   SELECT count(*) AS waiting, (array_agg(json_build_array(t.mode, t.permits) ORDER BY t.ticket))[1] AS first
     FROM ${waiter} AS t WHERE t.key = l.key AND t.seen_at > clock_timestamp() - interval '1 second') AS w
 CROSS JOIN LATERAL (
   SELECT json_agg(${facts('t', 't.mode', 't.take', 't.permits')} ORDER BY t.fence) AS holders
     FROM ${holder} AS t WHERE t.key = l.key AND t.closed_until > clock_timestamp()) AS h
 WHERE l.key >= $1 AND l.key <= $2 AND (l.closed_until > clock_timestamp() OR w.waiting > 0 OR h.holders IS NOT NULL)
 ORDER BY l.key LIMIT $3`;
}
