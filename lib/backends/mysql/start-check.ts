import { BackendError } from '../backend-error.js';
import { migrationOf } from './migration.js';
import type { MysqlConnection } from './mysql-client.js';
import { PROCEDURES } from './mysql-names.js';
import type { ResolvedMysqlSettings } from './mysql-settings.js';

const OLDEST = { MariaDB: [10, 6, 0], MySQL: [8, 0, 29] } as const;
/** For the one who makes the tables, while the others wait. */
const MAKING_LIMIT_S = 10;

/** Rejects, in a sentence, a database that cannot keep locks; makes the tables that are missing. */
export async function checkDatabase(
  connection: MysqlConnection,
  server: string,
  { names, create }: ResolvedMysqlSettings,
): Promise<void> {
  const refuse = (why: string): never => {
    throw new BackendError(`${server} cannot be used: ${why}.`, 'denied');
  };
  const [version = '', readOnly, schema] = await rowOf(
    connection,
    'SELECT VERSION(), @@read_only, DATABASE()',
  );
  const kind = /mariadb/i.test(String(version)) ? 'MariaDB' : 'MySQL';
  if (isOlder(String(version), OLDEST[kind]))
    refuse(`its version is ${String(version)}, and the locks need ${kind} ${OLDEST[kind].join('.')}`);
  if (Number(readOnly) !== 0) refuse('it takes no writes, as a replica does: connect to the primary');
  const where = names.schema ?? (schema as string | null);
  if (where === null) throw noSchema(server);
  if (await isComplete(connection, names, where)) return;
  if (!create)
    refuse(
      `the tables of the locks are missing in the database "${where}": run the migration, or let them be made by \`create: true\``,
    );
  await make(connection, migrationOf(names), `${where}.${names.name}`);
}

function noSchema(server: string): BackendError {
  return new BackendError(
    `${server} cannot be used: no database was named: put it into the URL, or give \`schema\`.`,
    'denied',
  );
}

async function isComplete(
  connection: MysqlConnection,
  names: ResolvedMysqlSettings['names'],
  schema: string,
): Promise<boolean> {
  const wanted = PROCEDURES.map((verb) => names[verb].split('`').at(-2));
  const [count] = await rowOf(
    connection,
    'SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = ? AND routine_name IN (?)',
    [schema, wanted],
  );
  return Number(count) === wanted.length;
}

/** Any number of processes may be here at once; the first one makes them, and the others find them made. */
async function make(
  connection: MysqlConnection,
  statements: readonly string[],
  where: string,
): Promise<void> {
  const lock = `nestjs-interlock ${where}`.slice(0, 64);
  await connection.query({ sql: 'SELECT GET_LOCK(?, ?)', values: [lock, MAKING_LIMIT_S] });
  try {
    for (const sql of statements) await connection.query({ sql });
  } finally {
    await connection.query({ sql: 'SELECT RELEASE_LOCK(?)', values: [lock] });
  }
}

async function rowOf(connection: MysqlConnection, sql: string, values: unknown[] = []): Promise<unknown[]> {
  const [rows] = await connection.query({ sql, values, rowsAsArray: true });
  return (rows as unknown[][])[0] ?? [];
}

function isOlder(version: string, oldest: readonly number[]): boolean {
  const [, ...parts] = /(\d+)\.(\d+)\.(\d+)/.exec(version.replace(/^5\.5\.5-/, '')) ?? [];
  for (const [nth, least] of oldest.entries()) {
    const part = Number(parts[nth] ?? 0);
    if (part !== least) return part < least;
  }
  return false;
}
