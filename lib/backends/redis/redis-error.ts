import { BackendError } from '../backend-error.js';

/**
 * Replies by which the server says that it did not do it, and what to do about that. Everything else that
 * comes back after a request was written may have been done.
 */
const REFUSALS = new Map(
  Object.entries({
    BUSY: 'it is busy with a long script',
    CLUSTERDOWN: 'the cluster is down',
    DENIED: 'it is in protected mode',
    LOADING: 'it is still loading its data',
    MASTERDOWN: 'it is a replica that lost its primary',
    MISCONF: 'it stopped taking writes because it cannot save to disk',
    MOVED: 'it is a node of a cluster; a cluster is not supported yet',
    NOAUTH: 'it wants a password: give one to redis()',
    NOPERM: "the user's ACL does not allow it",
    NOREPLICAS: 'too few of its replicas are in reach',
    NOSCRIPT: 'it does not keep the scripts that it is given',
    OOM: 'it is out of memory: raise maxmemory, or remove something',
    READONLY: 'it is a replica, which takes no writes: connect to the primary',
    WRONGPASS: 'the user name or the password is wrong',
    WRONGTYPE: 'something that is not a lock lies under the key: give the locks a prefix of their own',
  }),
);

/** The remedy for a refusal; undefined when it is none. */
function refusalOf(error: Error): string | undefined {
  const code = /^[A-Z]+(?= )/.exec(error.message)?.[0];
  return code === undefined ? undefined : REFUSALS.get(code);
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

export function isMissingScript(reason: unknown): boolean {
  return reason instanceof Error && reason.message.startsWith('NOSCRIPT');
}

/** What ioredis says in place of writing. */
const NOT_WRITTEN = "Stream isn't writeable";

/**
 * Turns what the client rejected with into a sentence.
 *
 * @param what what was attempted, as in "release lock:a"
 */
export function redisError(what: string, address: string, reason: unknown): BackendError {
  const cause = asError(reason);
  const refusal = cause.message.startsWith(NOT_WRITTEN) ? 'there is no connection' : refusalOf(cause);
  return refusal === undefined
    ? new BackendError(
        `Redis at ${address} may or may not have done it (${what}): ${cause.message}`,
        'unknown',
        { cause },
      )
    : new BackendError(`Redis at ${address} did not ${what}: ${refusal} (${cause.message}).`, 'denied', {
        cause,
      });
}

/** Nothing was sent, because there is no connection to send it over. */
export function notConnected(what: string, address: string, status: string): BackendError {
  return new BackendError(
    `Redis at ${address} did not ${what}: there is no connection (${status}).`,
    'denied',
  );
}

/** Why a connection could not be made. */
export function cannotStart(address: string, reason: unknown): BackendError {
  const cause = asError(reason);
  const remedy = refusalOf(cause);
  const message = remedy
    ? `Redis at ${address} cannot be used: ${remedy} (${cause.message}).`
    : `Redis at ${address} cannot be reached (${cause.message}): start it, or correct the address given to redis().`;
  return new BackendError(message, 'denied', { cause });
}
