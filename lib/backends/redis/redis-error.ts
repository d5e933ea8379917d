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
function refusalOf(message: string): string | undefined {
  const code = /^[A-Z]+(?= )/.exec(message)?.[0];
  return code === undefined ? undefined : REFUSALS.get(code);
}

/** By its shape: an error of another realm, as in Jest, is no instance of our `Error`. */
export function messageOf(reason: unknown): string {
  const named =
    typeof reason === 'object' && reason !== null && 'message' in reason ? reason.message : reason;
  return String(named);
}

export function isMissingScript(reason: unknown): boolean {
  return messageOf(reason).startsWith('NOSCRIPT');
}

/** Nothing was sent, because there is no connection to send it over. */
export class NotSent extends Error {
  constructor(status: string) {
    super(`there is no connection (${status})`);
  }
}

/** What ioredis says in place of writing. */
const NOT_WRITTEN = "Stream isn't writeable";

/**
 * Turns what the client rejected with into a sentence. It is `denied` only when the server said so, or when
 * nothing was written.
 *
 * @param what what was attempted, as in "release lock:a"
 */
export function redisError(what: string, address: string, cause: unknown): BackendError {
  const message = messageOf(cause);
  const refusal = refusalOf(message);
  if (cause instanceof NotSent || message.startsWith(NOT_WRITTEN)) {
    return new BackendError(`Redis at ${address} did not ${what}: ${message}.`, 'denied', { cause });
  }
  if (refusal !== undefined) {
    return new BackendError(`Redis at ${address} did not ${what}: ${refusal} (${message}).`, 'denied', {
      cause,
    });
  }
  return new BackendError(
    `Redis at ${address} may or may not have done it (${what}): ${message}`,
    'unknown',
    { cause },
  );
}

/** Why a connection could not be made. */
export function cannotStart(address: string, cause: unknown): BackendError {
  const detail = messageOf(cause);
  // Its cause is left out: ioredis attaches the command that failed, and with it the password.
  const remedy = refusalOf(detail);
  const message = remedy
    ? `Redis at ${address} cannot be used: ${remedy} (${detail}).`
    : `Redis at ${address} cannot be reached (${detail}): start it, or correct the address given to redis().`;
  return new BackendError(message, 'denied');
}
