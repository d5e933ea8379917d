import { BackendError } from '../backend-error.js';
import { migrationOf } from './migration.js';
import type { PostgresConnection } from './postgres-client.js';
import type { ResolvedPostgresSettings } from './postgres-settings.js';

const OLDEST = 120_000;

/** What is known of a database before it is used. */
interface Facts {
  readonly version: number;
  readonly process: number;
  readonly isolation: string;
  readonly recovering: boolean;
  readonly complete: boolean;
}

/** What the locks have to know of their connection. */
export interface PostgresWorld {
  /** Somebody in between hands each transaction to another connection of the server. */
  readonly pooled: boolean;
}

/** Rejects, in a sentence, a database that cannot keep locks; makes the tables that are missing. */
export async function checkDatabase(
  connection: PostgresConnection,
  server: string,
  { names, create }: ResolvedPostgresSettings,
): Promise<PostgresWorld> {
  const facts = await factsOf(connection, `${names.sweep}(text, integer)`);
  const refuse = (why: string): never => {
    throw new BackendError(`${server} cannot be used: ${why}.`, 'denied');
  };
  if (facts.version < OLDEST) refuse(`its version is ${facts.version}, and the locks need PostgreSQL 12`);
  if (facts.recovering) refuse('it is a replica, which takes no writes: connect to the primary');
  if (facts.isolation !== 'read committed')
    refuse(
      `its default_transaction_isolation is ${facts.isolation}, by which a step that waited would not see the one before it: give postgres() a URL, or a pool with "read committed"`,
    );
  if (!facts.complete && !create)
    refuse(
      `the tables of the locks are missing in the schema "${names.schema}": run the migration, or let them be made by \`create: true\``,
    );
  if (!facts.complete) await make(connection, migrationOf(names), `${names.schema}.${names.name}`);
  const missing = await missingRights(connection, names);
  if (missing.length > 0)
    refuse(
      `the user is not allowed to read and write ${missing.join(', ')}: GRANT SELECT, INSERT, UPDATE, DELETE`,
    );
  return { pooled: typeof connection.processID === 'number' && connection.processID !== facts.process };
}

async function factsOf(connection: PostgresConnection, last: string): Promise<Facts> {
  return (await ask(
    connection,
    `SELECT json_build_object(
       'version', current_setting('server_version_num')::integer, 'process', pg_backend_pid(),
       'isolation', current_setting('transaction_isolation'), 'recovering', pg_is_in_recovery(),
       'complete', to_regprocedure($1) IS NOT NULL)::text`,
    [last],
  )) as Facts;
}

/** Any number of processes may be here at once; the first one makes them, and the others find them made. */
async function make(connection: PostgresConnection, migration: string, where: string): Promise<void> {
  // one message is one transaction, at whose end the advisory lock goes
  await connection.query(
    `SELECT pg_advisory_xact_lock(hashtextextended('nestjs-interlock ${where}', 0));\n${migration}`,
  );
}

async function missingRights(
  connection: PostgresConnection,
  { lock, holder, waiter, gone, floor }: ResolvedPostgresSettings['names'],
): Promise<readonly string[]> {
  return (await ask(
    connection,
    `SELECT coalesce(json_agg(DISTINCT t), '[]')::text FROM unnest($1::text[]) AS t, unnest($2::text[]) AS r
      WHERE NOT has_table_privilege(t, r)`,
    [
      [lock, holder, waiter, gone, floor],
      ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
    ],
  )) as readonly string[];
}

async function ask(connection: PostgresConnection, text: string, values: unknown[]): Promise<unknown> {
  const { rows } = await connection.query({ text, values, rowMode: 'array' });
  const [first] = rows as [[string]];
  return JSON.parse(first[0]);
}
