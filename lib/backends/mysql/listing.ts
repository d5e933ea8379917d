import type { MysqlNames } from './mysql-names.js';
import { NOW, SILENCE_US } from './procedures/procedure.js';

/**
 * The locks from one key to another that are held or waited for: a row for each holder and each waiter. It is a plain
 * statement, because MariaDB 10.11 ends with a segmentation fault when a procedure gathers them as JSON again and again.
 */
export function listStatement({ lock, holder, waiter }: MysqlNames): string {
  const silent = `${NOW} - ${SILENCE_US}`;
  const page = `(SELECT l.\`key\` FROM ${lock} AS l WHERE l.\`key\` >= ? AND l.\`key\` <= ?
      AND (l.closed_until > ${NOW}
        OR EXISTS (SELECT 1 FROM ${waiter} AS w WHERE w.\`key\` = l.\`key\` AND w.seen_at > ${silent})
        OR EXISTS (SELECT 1 FROM ${holder} AS h WHERE h.\`key\` = l.\`key\` AND h.closed_until > ${NOW}))
      ORDER BY l.\`key\` LIMIT ?) AS page`;
  const holders = (table: string, kind: string): string => `
    SELECT page.\`key\`, 1, ${kind}, t.owner, CAST(t.fence AS CHAR), CEILING((t.lease_until - ${NOW}) / 1000),
           CEILING((t.closed_until - ${NOW}) / 1000), t.lingers
      FROM ${page} JOIN ${table} AS t ON t.\`key\` = page.\`key\` AND t.closed_until > ${NOW}`;
  return `${holders(lock, "'e 1 1'")}
  UNION ALL ${holders(holder, "CONCAT_WS(' ', t.mode, t.take, t.permits)")}
  UNION ALL
    SELECT page.\`key\`, 0, CONCAT_WS(' ', t.mode, t.take, t.permits), t.owner, CAST(t.ticket AS CHAR), 0, 0, 0
      FROM ${page} JOIN ${waiter} AS t ON t.\`key\` = page.\`key\` AND t.seen_at > ${silent}`;
}

/** Of a holder, or of a waiter with its ticket. */
export type Row = readonly [
  key: string,
  holds: unknown,
  kind: string,
  owner: string,
  number: string,
  leaseMs: unknown,
  closedMs: unknown,
  lingers: unknown,
];

/** As other databases answer: a JSON text for each lock, in the order of their keys. */
export function listOf(rows: readonly Row[]): readonly string[] {
  const byKey = new Map<string, Row[]>();
  for (const row of rows) {
    const same = byKey.get(row[0]);
    if (same) same.push(row);
    else byKey.set(row[0], [row]);
  }
  const keys = [...byKey.keys()].sort((a, b) => (a < b ? -1 : 1));
  return keys.map((key) => JSON.stringify(lockOf(key, byKey.get(key) ?? [])));
}

function lockOf(key: string, rows: readonly Row[]): object {
  const inOrder = [...rows].sort((a, b) => (BigInt(a[4]) < BigInt(b[4]) ? -1 : 1));
  const waiters = inOrder.filter(([, holds]) => Number(holds) === 0);
  const [first] = waiters;
  const [mode, , permits] = first?.[2].split(' ') ?? [];
  return {
    key,
    waiting: waiters.length,
    first: first ? [mode, Number(permits)] : null,
    holders: inOrder.filter(([, holds]) => Number(holds) === 1).map(holderOf),
  };
}

function holderOf([, , kind, owner, fence, leaseMs, closedMs, lingers]: Row): object {
  const [mode, take, permits] = kind.split(' ');
  return {
    owner,
    mode,
    take: Number(take),
    permits: Number(permits),
    fence,
    leaseMs: Number(leaseMs),
    closedMs: Number(closedMs),
    lingers: Number(lingers) === 1,
  };
}
