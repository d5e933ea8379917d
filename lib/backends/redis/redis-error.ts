import { BackendError } from '../backend-error.js';

/**
 * Replies by which the server says that it did not do it, and what to do about that. Everything else that
 * comes back after a request was written may have been done.
 */
const REFUSALS = new Map(
  Object.entries({
    ASK: 'the key is being moved to another node of the cluster',
    BUSY: 'it is busy with a long script',
    CLUSTERDOWN: 'the cluster is down, or nobody serves the slot of the key',
    DENIED: 'it is in protected mode',
    LOADING: 'it is still loading its data',
    MASTERDOWN: 'it is a replica that lost its primary',
    MISCONF: 'it stopped taking writes because it cannot save to disk',
    MOVED: 'it is a node of a cluster: give redis({ cluster: [address] })',
    NOAUTH: 'it wants a password: give one to redis()',
    NOPERM: "the user's ACL does not allow it",
    NOREPLICAS: 'too few of its replicas are in reach',
    NOSCRIPT: 'it does not keep the scripts that it is given',
    NOPROTO: 'it does not speak the protocol of the client',
    OOM: 'it is out of memory: raise maxmemory, or remove something',
    READONLY: 'it is a replica, which takes no writes: connect to the primary',
    TRYAGAIN: 'the keys of the lock are being moved to another node of the cluster',
    WRONGPASS: 'the user name or the password is wrong',
    WRONGTYPE: 'something that is not a lock lies under the key: give the locks a prefix of their own',
  }),
);

/**
 * The word by which the server says what is wrong. A cluster's client puts its own words before it when it gives up,
 * and servers before 7.0 put theirs when it was a command inside of a script.
 */
const CODE =
  /^(?:Too many Cluster redirections\. Last error: \w*Error: |ERR Error running script .*: -)?([A-Z]+) /;

function codeOf(message: string): string | undefined {
  return CODE.exec(message)?.[1];
}

/** The remedy for a refusal; undefined when it is none. */
function refusalOf(message: string): string | undefined {
  if (message.startsWith('ERR max number of clients reached'))
    return 'it has as many connections as it allows: raise maxclients';
  const code = codeOf(message);
  return code === undefined ? undefined : REFUSALS.get(code);
}

/** Why, with the remedy where there is one. */
export function reasonOf(cause: unknown): string {
  const message = messageOf(cause);
  const refusal = refusalOf(message);
  return refusal === undefined ? message : `${refusal} (${message})`;
}

/** By its shape: an error of another realm, as in Jest, is no instance of our `Error`. */
export function messageOf(reason: unknown): string {
  if (typeof reason !== 'object' || reason === null) return String(reason);
  // a cluster's client says only that no node answered, and keeps apart what the last one said
  if ('lastNodeError' in reason && reason.lastNodeError) return messageOf(reason.lastNodeError);
  return String('message' in reason ? reason.message : reason);
}

export function isMissingScript(reason: unknown): boolean {
  return messageOf(reason).startsWith('NOSCRIPT');
}

/** The server has become a replica, or has lost its primary as one. */
export function isDemoted(reason: unknown): boolean {
  const code = codeOf(messageOf(reason));
  return code === 'READONLY' || code === 'MASTERDOWN';
}

/** Nothing was sent, because there is no connection to send it over. */
export class NotSent extends Error {
  constructor(status: string) {
    super(`there is no connection (${status})`);
  }
}

/** What ioredis says in place of writing. */
const NOT_WRITTEN = /^(Stream isn't writeable|Cluster isn't ready)/;

/**
 * Turns what the client rejected with into a sentence. It is `denied` only when the server said so, or when
 * nothing was written.
 *
 * @param what what was attempted, as in "release lock:a"
 */
export function redisError(what: string, address: string, cause: unknown): BackendError {
  const message = messageOf(cause);
  const refusal = refusalOf(message);
  if (cause instanceof NotSent || NOT_WRITTEN.test(message)) {
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

const NO_TLS = 'it does not seem to speak TLS on this port: give a redis:// address, without `tls`';

/** What the first contact fails with when somebody else is behind the address, and what to do about it. */
const MISTAKES: readonly (readonly [RegExp, string])[] = [
  [
    /unknown command .?sentinel/i,
    'it is no Sentinel: give redis() its address without `sentinels`, or the addresses of the Sentinels',
  ],
  [
    /invalid reply: null|No such master with that name/,
    'the Sentinels know no primary of that name: correct `name`',
  ],
  [
    /cluster support disabled|unknown command .?cluster/i,
    'it is no node of a cluster: give redis() its address without `cluster`',
  ],
  [/wrong version number|packet length too long|EPROTO/i, NO_TLS],
  [
    /self[- ]signed certificate|unable to (verify|get)|certificate|ERR_TLS/i,
    'its certificate is not trusted: give the authority that issued it in `tls: { ca }`',
  ],
];

/** A server without TLS takes the beginning of a handshake for a command that is not complete, and waits for the rest. */
const SILENT = /no answer within|ETIMEDOUT|socket disconnected before secure TLS/;

/**
 * Why a connection could not be made.
 *
 * @param secure whether TLS was asked for
 */
export function cannotStart(address: string, cause: unknown, secure = false): BackendError {
  const detail = messageOf(cause);
  // Its cause is left out: ioredis attaches the command that failed, and with it the password.
  const remedy =
    refusalOf(detail) ??
    MISTAKES.find(([pattern]) => pattern.test(detail))?.[1] ??
    (secure && SILENT.test(detail) ? NO_TLS : undefined);
  const message = remedy
    ? `Redis at ${address} cannot be used: ${remedy} (${detail}).`
    : `Redis at ${address} cannot be reached (${detail}): start it, or correct the address given to redis().`;
  return new BackendError(message, 'denied');
}
