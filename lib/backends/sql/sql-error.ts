import { BackendError } from '../backend-error.js';

/** Why a database did not do it, and what to do about that. */
export const REFUSALS = {
  busyRow: 'somebody has the row of the lock locked: end that transaction',
  cancelled: 'the statement was cancelled, or took longer than the statement_timeout',
  conflict: 'it ran into another transaction, again and again',
  connections: 'it has as many connections as it allows: raise its limit, or make the pools smaller',
  database: 'there is no such database',
  full: 'it has no space or memory left',
  isolation:
    'another isolation level than READ COMMITTED is the default: give the locks a connection of their own, by a URL',
  old: 'it is too old',
  password: 'the user name or the password is wrong',
  permission: 'the user is not allowed to',
  pooler: 'a pooler in between lost the prepared statement',
  readOnly: 'it takes no writes, as a replica does: connect to the primary',
  schema: 'there is no such schema: create it, or name another one in `schema`',
  starting: 'it is starting up or shutting down',
  tables: 'the tables of the locks are missing: start once with `create: true`, or run the migration',
} as const;

export type Refusal = keyof typeof REFUSALS;

/** Nothing was sent, because there is no connection to send it over. */
export class NotSent extends Error {
  constructor(override readonly cause: unknown) {
    super(messageOf(cause));
  }
}

/** By its shape: an error of another realm, as in Jest, is no instance of our `Error`. */
export function messageOf(reason: unknown): string {
  if (typeof reason !== 'object' || reason === null) return String(reason);
  // what comes of several addresses of one name
  if ('errors' in reason && Array.isArray(reason.errors) && reason.errors.length > 0)
    return messageOf(reason.errors[0]);
  const { message, code } = reason as { readonly message?: unknown; readonly code?: unknown };
  return String(message || code);
}

/**
 * Turns what the client rejected with into a sentence. It is `denied` only when the server said so, or when nothing was
 * written.
 *
 * @param server its name and where it is, as in "PostgreSQL at localhost:5432"
 * @param what what was attempted, as in "release lock:a"
 * @param refusal why, when the server said so and nothing was done
 */
export function sqlError(
  server: string,
  what: string,
  cause: unknown,
  refusal: Refusal | 'other' | undefined,
): BackendError {
  const message = messageOf(cause);
  if (refusal !== undefined && refusal !== 'other')
    return new BackendError(`${server} did not ${what}: ${REFUSALS[refusal]} (${message}).`, 'denied', {
      cause,
    });
  if (refusal === 'other' || cause instanceof NotSent)
    return new BackendError(`${server} did not ${what}: ${message}.`, 'denied', { cause });
  return new BackendError(`${server} may or may not have done it (${what}): ${message}`, 'unknown', {
    cause,
  });
}

/** Why a start failed. The cause is left out: clients attach their configuration, and with it the password. */
export function cannotStart(
  server: string,
  cause: unknown,
  refusal: Refusal | 'other' | undefined,
  call: string,
): BackendError {
  const detail = messageOf(cause);
  const message =
    refusal === undefined
      ? `${server} cannot be reached (${detail}): start it, or correct the address given to ${call}().`
      : `${server} cannot be used: ${refusal === 'other' ? detail : `${REFUSALS[refusal]} (${detail})`}.`;
  return new BackendError(message, 'denied');
}
