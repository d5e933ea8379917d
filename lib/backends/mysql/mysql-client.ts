import { BackendError } from '../backend-error.js';
import type { Stream } from '../sql/pool-end.js';
import type { MysqlLockSettings } from './mysql-settings.js';

/** A statement as mysql2 takes it. */
export interface MysqlQuery {
  readonly sql: string;
  readonly values?: unknown[];
  readonly rowsAsArray?: boolean;
}

/** What is needed of a connection of mysql2 that is on loan from a pool. */
export interface MysqlConnection {
  query(query: MysqlQuery): Promise<readonly [unknown, unknown]>;
  release(): void;
  destroy(): void;
}

type Callback = (error: unknown, rows: unknown) => void;

/** A connection below its promises: the same object whoever has it on loan. */
export interface CoreConnection {
  readonly stream?: Stream;
  query(query: MysqlQuery, callback: Callback): unknown;
  execute(query: MysqlQuery, callback: Callback): unknown;
  release(): void;
  destroy(): void;
}

/** A pool below its promises. */
export interface CorePool {
  getConnection(callback: (error: unknown, connection: CoreConnection | undefined) => void): void;
  readonly config?: KnownMysqlOptions & { readonly connectionConfig?: object };
  readonly _allConnections?: { readonly length: number; get(nth: number): CoreConnection | undefined };
}

/** A pool of `mysql2/promise`, version 3. Spelled out here, so that the types of this package do not need mysql2. */
export interface MysqlPool {
  getConnection(): Promise<MysqlConnection>;
  end(): Promise<void>;
}

/** A pool of `mysql2`, whose promise side is used. */
export interface MysqlCallbackPool {
  promise(): MysqlPool;
}

/** Where the database is, and what locks in it mean. Anything else that mysql2 understands is passed on to it. */
export interface MysqlOptions extends MysqlLockSettings {
  /** Default 'localhost'. */
  readonly host?: string;
  /** Default 3306. */
  readonly port?: number;
  /** Where the tables of the locks are, unless `schema` says otherwise. Default: none. */
  readonly database?: string;
  /** Default: none. */
  readonly user?: string;
  /** Default: none. */
  readonly password?: string;
  /** Options of TLS, or the name of a set of them that mysql2 has. Default: none. */
  readonly ssl?: string | object;
  /** The most connections for the locks of this process. Default 10. */
  readonly connectionLimit?: number;
  readonly [option: string]: unknown;
}

/** Where a pool connects to. */
export interface KnownMysqlOptions {
  readonly host?: string;
  readonly port?: number;
  readonly connectionLimit?: number;
  /** Whether a connection forgets its session when it is given back. */
  readonly resetOnRelease?: boolean;
}

interface MysqlModule {
  createPool(options: object): MysqlPool;
}

export function isPool(target: unknown): target is MysqlPool | MysqlCallbackPool {
  return typeof target === 'object' && target !== null && 'getConnection' in target;
}

/** The promise side of whichever pool was handed in. */
export function promising(pool: MysqlPool | MysqlCallbackPool): MysqlPool {
  return 'promise' in pool && typeof pool.promise === 'function' ? pool.promise() : (pool as MysqlPool);
}

/** What is below the promises of a pool. */
export function coreOf(pool: MysqlPool): CorePool {
  return (pool as unknown as { readonly pool: CorePool }).pool;
}

/** What is known of where it connects to. */
export function optionsOf({ config }: CorePool): KnownMysqlOptions {
  const { connectionConfig, ...ofPool } = config ?? {};
  return { ...connectionConfig, ...ofPool };
}

/** Ends a connection at once. By itself it would wait for a server that may be silent to hang up as well. */
export function hangUp(connection: CoreConnection | MysqlConnection): void {
  const core = 'connection' in connection ? (connection.connection as CoreConnection) : connection;
  connection.destroy();
  if ('stream' in core) core.stream?.destroy();
}

/** What its connections go over, those that are being made too. */
export function streamsOf({ _allConnections: all }: CorePool): readonly Stream[] {
  const streams = Array.from({ length: all?.length ?? 0 }, (_, nth) => all?.get(nth)?.stream);
  return streams.filter((stream) => stream !== undefined);
}

/** Only now: who hands a pool in, or uses no such database, needs no mysql2 of ours. */
export async function loadMysql2(): Promise<MysqlModule> {
  try {
    const client: object = await import('mysql2/promise');
    return 'createPool' in client ? (client as MysqlModule) : (client as { default: MysqlModule }).default;
  } catch (cause) {
    throw new BackendError(
      'nestjs-interlock/mysql needs the package mysql2: install it with `npm install mysql2`.',
      'denied',
      { cause },
    );
  }
}
