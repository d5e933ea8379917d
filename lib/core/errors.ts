/**
 * Errors are recognised by what they say they are, not by class identity: one process may have loaded this
 * package twice, once as an ES module and once as CommonJS.
 */
const LINEAGE = Symbol.for('nestjs-interlock.error.lineage');

/** Everything that this library throws on purpose. No HTTP status in it: see `LockExceptionFilter`. */
export class LockError extends Error {
  /** Stable through minification, and what `instanceof` goes by. */
  static readonly kind: string = 'LockError';

  /** The key in question, as the caller wrote it; the first of several. */
  readonly key: string | undefined;

  constructor(message: string, details: { key?: string | undefined; cause?: unknown } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.kind;
    this.key = details.key;
    const lineage: string[] = [];
    for (let kind: unknown = new.target; isKind(kind); kind = Object.getPrototypeOf(kind)) {
      if (Object.hasOwn(kind, 'kind')) lineage.push(kind.kind);
    }
    Object.defineProperty(this, LINEAGE, { value: lineage });
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (Function.prototype[Symbol.hasInstance].call(this, value)) return true;
    if (!Object.hasOwn(this, 'kind') || typeof value !== 'object' || value === null) return false;
    const lineage: unknown = (value as { [LINEAGE]?: unknown })[LINEAGE];
    return Array.isArray(lineage) && lineage.includes(this.kind);
  }
}

function isKind(value: unknown): value is { kind: string } {
  return typeof value === 'function' && 'kind' in value && typeof value.kind === 'string';
}

/** The key was not to be had within the wait. */
export class LockTimeoutError extends LockError {
  static override readonly kind = 'LockTimeoutError';
  /** How long the caller waited, in whole milliseconds. */
  readonly waitedMs: number;
  /** The owner in the way, when the server said so. Its first part is the holder's identity. */
  readonly holder: string | undefined;
  /** The remaining lease of the holder in milliseconds, when the server said so. */
  readonly expiresInMs: number | undefined;

  constructor(
    message: string,
    details: { key: string; waitedMs: number; holder?: string | undefined; expiresInMs?: number | undefined },
  ) {
    super(message, details);
    this.waitedMs = details.waitedMs;
    this.holder = details.holder;
    this.expiresInMs = details.expiresInMs;
  }
}

/**
 * How a loss was noticed. `gone`: the server says that the lock is not ours any more. `silent`: the local
 * deadline passed and no renewal had been confirmed. `shutdown`: the service was closed under the holder.
 */
export type LossReason = 'gone' | 'silent' | 'shutdown';

/** A lock that was held is not held any more, though nobody released it. Also the reason of `lease.signal`. */
export class LockLostError extends LockError {
  static override readonly kind = 'LockLostError';
  /** How it was noticed. */
  readonly reason: LossReason;
  /** The fence that is stale now. */
  readonly fence: bigint;

  constructor(message: string, details: { key: string; reason: LossReason; fence: bigint }) {
    super(message, details);
    this.reason = details.reason;
    this.fence = details.fence;
  }
}

/** The lock server did not do, or did not confirm, what it was asked. Nothing guarded has run. */
export class LockUnavailableError extends LockError {
  static override readonly kind = 'LockUnavailableError';
}

/** A key, or a key template with its arguments, that cannot name a lock. */
export class LockKeyError extends LockError {
  static override readonly kind = 'LockKeyError';
}

/** An option, a decorator or a module that is set up wrongly. */
export class LockConfigurationError extends LockError {
  static override readonly kind = 'LockConfigurationError';
}

/** Who leads a group, as its lock says. */
export interface LeaderInfo {
  /** The `identity` of the replica. */
  readonly identity: string;
  /** What it advertises, so that others can reach it. */
  readonly address: string | undefined;
  /** The fence of its leadership: above those of all earlier leaders of the group. */
  readonly term: bigint;
}

/** This process does not lead the group, or not any more. */
export class NotLeaderError extends LockError {
  static override readonly kind = 'NotLeaderError';
  /** The group that it does not lead. */
  readonly group: string;
  /** Who does, where that was known. */
  readonly leader: LeaderInfo | undefined;

  constructor(message: string, details: { group: string; leader?: LeaderInfo | undefined; cause?: unknown }) {
    super(message, { key: `leader:${details.group}`, cause: details.cause });
    this.group = details.group;
    this.leader = details.leader;
  }
}

/** Whatever was thrown or reported, as an error. */
export function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  return new Error(typeof thrown === 'string' ? thrown : show(thrown));
}

/** For messages: what something thrown says, whatever it is. */
export function errorMessage(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : show(thrown);
}

/** For messages: a value as a person would write it, of bounded length. */
export function show(value: unknown): string {
  let text: string;
  if (typeof value === 'string') text = JSON.stringify(value);
  else if (typeof value === 'bigint') text = `${value}n`;
  else if (typeof value === 'function') text = `function ${value.name || '(anonymous)'}`;
  else if (typeof value === 'object' && value !== null)
    text = Array.isArray(value) ? 'an array' : 'an object';
  else text = String(value);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
