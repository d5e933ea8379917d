import { checkName, checkSchema, DEFAULT_NAME } from '../sql/sql-names.js';

/** A change of the functions gets a number of its own, so that two releases of the package can share one schema. */
const VERSION = 'v1';

const TABLES = ['lock', 'holder', 'waiter', 'gone', 'floor'] as const;
const FUNCTIONS = [
  'abandon',
  'claim',
  'contend',
  'evict',
  'free',
  'leave',
  'pass',
  'purge',
  'release',
  'renew',
  'stay',
  'sweep',
  'turn',
  'wake',
] as const;

type Names = Readonly<Record<(typeof TABLES)[number] | (typeof FUNCTIONS)[number], string>>;

/** The tables and functions, each by its full and quoted name. */
export interface PostgresNames extends Names {
  readonly schema: string;
  readonly name: string;
}

/** @throws LockConfigurationError that says which name is wrong, and how */
export function postgresNames(schema: unknown = 'public', name: unknown = DEFAULT_NAME): PostgresNames {
  const names = { schema: checkSchema(schema), name: checkName(name) };
  const full = (suffix: string): string => `"${names.schema}"."${names.name}_${suffix}"`;
  const all = [
    ...TABLES.map((table) => [table, full(table)]),
    ...FUNCTIONS.map((verb) => [verb, full(`${verb}_${VERSION}`)]),
  ];
  return { ...names, ...(Object.fromEntries(all) as Names) };
}
