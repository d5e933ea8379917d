import { NotSent, type Refusal } from '../sql/sql-error.js';

/** By the server's own number. */
const REASONS = new Map<number, Refusal>([
  [1021, 'full'],
  [1040, 'connections'],
  [1044, 'permission'],
  [1045, 'password'],
  [1049, 'database'],
  [1053, 'starting'],
  [1114, 'full'],
  [1142, 'permission'],
  [1143, 'permission'],
  [1146, 'tables'],
  [1203, 'connections'],
  [1205, 'busyRow'],
  [1213, 'conflict'],
  [1226, 'connections'],
  [1227, 'permission'],
  [1290, 'readOnly'],
  [1305, 'tables'],
  [1370, 'permission'],
  [1698, 'password'],
  [1792, 'readOnly'],
  [1836, 'readOnly'],
  [3159, 'password'],
  [4151, 'password'],
]);

/** By which the server ends a statement or a connection; it may have been done right before. */
const ENDS: ReadonlySet<number> = new Set([1053, 1077, 1079, 1080, 1152, 1317, 1927, 3169, 4031]);

/** Too many of them, one that is not known, one that cannot be prepared at all, and one that has to be prepared anew. */
const CANNOT_PREPARE: ReadonlySet<number> = new Set([1243, 1295, 1461, 1615]);

interface MysqlFailure {
  readonly errno?: unknown;
  readonly sqlState?: unknown;
}

/** The server's number, when it was the server that spoke. */
function numberOf(reason: unknown): number | undefined {
  const cause = reason instanceof NotSent ? reason.cause : reason;
  if (typeof cause !== 'object' || cause === null) return undefined;
  const { errno, sqlState } = cause as MysqlFailure;
  return typeof errno === 'number' && typeof sqlState === 'string' ? errno : undefined;
}

/**
 * What the server said: nothing was done, and why. Undefined when it may have been done: there was no answer, or the
 * server was about to end the connection.
 */
export function refusalOf(reason: unknown): Refusal | 'other' | undefined {
  const number = numberOf(reason);
  if (number === undefined) return undefined;
  if (ENDS.has(number) && !(reason instanceof NotSent)) return undefined;
  return REASONS.get(number) ?? 'other';
}

/** It may be sent again at once: nothing was done. */
export function isConflict(reason: unknown): boolean {
  return numberOf(reason) === 1213;
}

/** The server, or what is in between, takes no (more) prepared statements; nothing was done. */
export function cannotPrepare(reason: unknown): boolean {
  return CANNOT_PREPARE.has(numberOf(reason) ?? 0);
}
