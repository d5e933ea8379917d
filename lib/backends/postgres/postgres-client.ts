import { BackendError } from '../backend-error.js';
import type { Stream } from '../sql/pool-end.js';
import type { PostgresLockSettings } from './postgres-settings.js';

/** A statement as pg takes it. */
export interface PostgresQuery {
  readonly text: string;
  readonly name?: string;
  readonly values?: unknown[];
  readonly rowMode?: 'array';
  readonly query_timeout?: number;
}

/** What is needed of a connection of pg. */
export interface PostgresConnection {
  /** The server's process for it; null where it is not known. */
  readonly processID?: number | null;
  query(query: PostgresQuery | string): Promise<{ readonly rows: unknown[] }>;
  on(event: 'error', listener: (error: Error) => void): unknown;
  off(event: 'error', listener: (error: Error) => void): unknown;
}

/** A connection that is on loan from a pool. */
export interface PostgresPoolClient extends PostgresConnection {
  /** @param broken true when it must not be used again */
  release(broken?: boolean): void;
}

/** A connection of its own. */
export interface PostgresClient extends PostgresConnection {
  readonly connection?: { readonly stream?: Stream };
  connect(): Promise<unknown>;
  end(): Promise<void>;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
  on(event: 'notification', listener: (message: { readonly payload?: string | undefined }) => void): unknown;
}

/**
 * A `Pool` of pg, version 8. Spelled out here, so that the types of this package do not need pg to be installed.
 */
export interface PostgresPool {
  readonly options: object;
  connect(): Promise<PostgresPoolClient>;
  end(): Promise<void>;
  on(event: 'connect', listener: (connection: PostgresConnection) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  off(event: 'error', listener: (error: Error) => void): unknown;
}

/** Where the database is, and what locks in it mean. Anything else that pg understands is passed on to it. */
export interface PostgresOptions extends PostgresLockSettings {
  /** Default, as of all that say where and who: what pg finds in the environment, else 'localhost'. */
  readonly host?: string;
  /** Default 5432. */
  readonly port?: number;
  /** Default: the user's name. */
  readonly database?: string;
  /** Default: the user that this process runs as. */
  readonly user?: string;
  /** A function is asked for each new connection. Default: none. */
  readonly password?: string | (() => string | Promise<string>);
  /** True, or options of Node's `tls.connect`. Default false. */
  readonly ssl?: boolean | object;
  /** The most connections for the locks of this process, besides one that listens. Default 10. */
  readonly max?: number;
  readonly [option: string]: unknown;
}

/** The options of a pool that we read. */
export interface KnownPoolOptions {
  readonly connectionString?: string;
  readonly host?: string;
  readonly port?: number;
  readonly max?: number;
  readonly lock_timeout?: unknown;
}

interface PostgresModule {
  readonly Pool: new (options: object) => PostgresPool;
  readonly Client: new (options: object) => PostgresClient;
}

export function isPool(target: unknown): target is PostgresPool {
  return (
    typeof target === 'object' &&
    target !== null &&
    'connect' in target &&
    typeof target.connect === 'function'
  );
}

/** A further connection to where that pool connects to; undefined when it does not say how. */
export function clientLike(pool: PostgresPool): PostgresClient | undefined {
  const { Client } = pool as Partial<Pick<PostgresModule, 'Client'>>;
  return typeof Client === 'function' ? new Client(pool.options) : undefined;
}

/** Ends a connection at once, whatever state it is in. */
export function hangUp(client: PostgresClient): void {
  // it goes on to emit errors, which nobody has to hear
  client.end().catch(() => undefined);
  client.connection?.stream?.destroy();
}

/** Only now: who hands a pool in, or does not use PostgreSQL, needs no pg of ours. */
export async function loadPg(): Promise<PostgresModule> {
  try {
    const client: object = await import('pg');
    return (client as { default: PostgresModule }).default;
  } catch (cause) {
    throw new BackendError(
      'nestjs-interlock/postgres needs the package pg: install it with `npm install pg`.',
      'denied',
      { cause },
    );
  }
}
