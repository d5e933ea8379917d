import { checkName, checkSchema, DEFAULT_NAME } from '../sql/sql-names.js';

/** A change of the procedures gets a number of its own, so that two releases of the package can share one database. */
const VERSION = 'v1';

const TABLES = ['lock', 'holder', 'waiter', 'gone', 'floor'] as const;
export const PROCEDURES = [
  'abandon',
  'abandon_step',
  'claim',
  'claim_step',
  'evict',
  'evict_step',
  'pass',
  'pass_step',
  'release',
  'release_step',
  'renew',
  'renew_step',
  'settle',
  'stay',
  'stay_step',
  'sweep',
  'sweep_step',
  'turn',
] as const;

type Names = Readonly<Record<(typeof TABLES)[number] | (typeof PROCEDURES)[number], string>>;

/** The tables and procedures, each by its full and quoted name. */
export interface MysqlNames extends Names {
  /** Undefined: that of the connection. */
  readonly schema: string | undefined;
  readonly name: string;
}

/** @throws LockConfigurationError that says which name is wrong, and how */
export function mysqlNames(schema?: unknown, name: unknown = DEFAULT_NAME): MysqlNames {
  const names = { schema: schema === undefined ? undefined : checkSchema(schema), name: checkName(name) };
  const database = names.schema === undefined ? '' : `\`${names.schema}\`.`;
  const full = (suffix: string): string => `${database}\`${names.name}_${suffix}\``;
  const all = [
    ...TABLES.map((table) => [table, full(table)]),
    ...PROCEDURES.map((verb) => [verb, full(`${verb}_${VERSION}`)]),
  ];
  return { ...names, ...(Object.fromEntries(all) as Names) };
}
