import { createConnection } from 'mysql2/promise';

const CALL_LIMIT_MS = 1_000;

export type Rows = Record<string, unknown>[];
type Query = (sql: string) => Promise<Rows>;

/** One statement, over a connection of its own; rejects after a while without an answer. */
export async function queryMysql(uri: string, sql: string, limitMs = CALL_LIMIT_MS): Promise<Rows> {
  const connection = await createConnection({ uri, connectTimeout: CALL_LIMIT_MS });
  connection.on('error', () => undefined);
  try {
    const [rows] = await connection.query({ sql, timeout: limitMs });
    return Array.isArray(rows) ? (rows as Rows) : [];
  } finally {
    connection.destroy();
  }
}

/** Ends all connections to a database but our own. */
export async function terminateMysql(query: Query, database: string): Promise<number> {
  const others = await query(
    `SELECT id AS id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND db = '${database}' AND host <> ''`,
  );
  for (const { id } of others) await query(`KILL ${String(id)}`).catch(() => undefined);
  return others.length;
}

/** Removes all rows of the locks, as a person might. */
export async function wipeMysql(query: Query, name = 'interlock'): Promise<void> {
  for (;;) {
    const rows = await query(`SELECT 1 FROM ${name}_lock LIMIT 1`);
    if (rows.length === 0) break;
    await query(`DELETE FROM ${name}_lock LIMIT 20000`);
  }
  await query(`DELETE FROM ${name}_gone`);
}
