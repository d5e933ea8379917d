import { LockConfigurationError, show } from '../../core/errors.js';

/** Where the locks are kept in a database. */
export interface SqlNames {
  /** The schema (PostgreSQL) or the database (MySQL); undefined for that of the connection. */
  readonly schema: string | undefined;
  /** What the names of all tables and routines begin with. */
  readonly name: string;
}

/** Short enough that nothing made of it is longer than 63 characters, and in need of no quotes. */
const NAME = /^[a-z_][a-z0-9_]{0,39}$/;
const SCHEMA = /^[A-Za-z_][A-Za-z0-9_-]{0,62}$/;

export const DEFAULT_NAME = 'interlock';

/** @throws LockConfigurationError that says which name is wrong, and how */
export function checkName(name: unknown): string {
  if (typeof name === 'string' && NAME.test(name)) return name;
  throw new LockConfigurationError(
    `name is ${show(name)}; give 1 to 40 small letters, digits or _, not a digit first: the names of the tables begin with it.`,
  );
}

/** @throws LockConfigurationError that says which name is wrong, and how */
export function checkSchema(schema: unknown): string {
  if (typeof schema === 'string' && SCHEMA.test(schema)) return schema;
  throw new LockConfigurationError(
    `schema is ${show(schema)}; give the name of one: 1 to 63 letters, digits or any of _ -, not a digit first.`,
  );
}
