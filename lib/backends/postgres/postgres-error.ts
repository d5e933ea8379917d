import { NotSent, type Refusal } from '../sql/sql-error.js';

/** By SQLSTATE, or its class. */
const REASONS = new Map<string, Refusal>([
  ['08P01', 'pooler'],
  ['25006', 'readOnly'],
  ['26000', 'pooler'],
  ['28000', 'password'],
  ['28P01', 'password'],
  ['3D000', 'database'],
  ['3F000', 'schema'],
  ['40001', 'conflict'],
  ['40P01', 'conflict'],
  ['42501', 'permission'],
  ['42883', 'tables'],
  ['42P01', 'tables'],
  ['42P05', 'pooler'],
  ['53300', 'connections'],
  ['53', 'full'],
  ['55P03', 'busyRow'],
  ['57014', 'cancelled'],
  ['57P03', 'starting'],
]);

interface PostgresFailure {
  readonly code?: unknown;
  readonly severity?: unknown;
}

/** The SQLSTATE, when it was the server that spoke. */
export function stateOf(reason: unknown): string | undefined {
  const cause = reason instanceof NotSent ? reason.cause : reason;
  if (typeof cause !== 'object' || cause === null) return undefined;
  const { code, severity } = cause as PostgresFailure;
  return typeof code === 'string' && typeof severity === 'string' ? code : undefined;
}

/**
 * What the server said: nothing was done, and why. Undefined when it may have been done: there was no answer, or the
 * server was about to end the connection, which it may do right behind the commit.
 */
export function refusalOf(reason: unknown): Refusal | 'other' | undefined {
  const state = stateOf(reason);
  if (state === undefined) return undefined;
  const sent = !(reason instanceof NotSent);
  if (sent && isEndOfConnection(reason, state)) return undefined;
  return REASONS.get(state) ?? REASONS.get(state.slice(0, 2)) ?? 'other';
}

function isEndOfConnection(reason: unknown, state: string): boolean {
  if (state === '08P01') return false;
  const { severity } = reason as PostgresFailure;
  return severity !== 'ERROR' || state.startsWith('08') || state === '40003' || state.startsWith('57P');
}

/** It may be sent again at once: nothing was done. */
export function isConflict(reason: unknown): boolean {
  const state = stateOf(reason);
  return state === '40001' || state === '40P01';
}

/** A pooler hands our statements to connections that do not know what was prepared on another one. */
export function isLostStatement(reason: unknown): boolean {
  const state = stateOf(reason);
  return state === '26000' || state === '42P05' || state === '08P01';
}
