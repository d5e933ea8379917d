import type { Claim, Grant, LockMode } from '../backends/lock-backend.js';
import { LockConfigurationError } from './errors.js';

/** What a handle carries for each key: the grant, and the key as its caller wrote it. */
export interface HandlePart {
  readonly name: string;
  readonly grant: Grant;
}

type Packed = [
  name: string,
  key: string,
  owner: string,
  mode: LockMode,
  take: number,
  of: number,
  ttlMs: number,
  fence: string,
  ticket?: unknown,
];

/** A text without characters that a URL, a header or a queue would mind. */
export function packHandle(parts: readonly HandlePart[]): string {
  const packed = parts.map(({ name, grant }): Packed => {
    const { key, owner, mode, take, of, ttlMs } = grant.claim;
    return [name, key, owner, mode, take, of, ttlMs, grant.fence.toString(), grant.ticket];
  });
  return Buffer.from(JSON.stringify([1, ...packed])).toString('base64url');
}

/** @throws LockConfigurationError when the text is no handle */
export function unpackHandle(handle: string): [HandlePart, ...HandlePart[]] {
  const [version, ...packed] = parse(handle);
  const parts = packed.filter(isPacked).map((part): HandlePart => {
    const [name, key, owner, mode, take, of, ttlMs, fence, ticket] = part;
    const claim: Claim = { key, owner, mode, take, of, ttlMs, queue: false };
    return {
      name,
      grant: {
        claim,
        fence: BigInt(fence),
        sentAtMs: 0,
        ...(ticket === undefined || ticket === null ? {} : { ticket }),
      },
    };
  });
  const [first, ...others] = parts;
  if (version !== 1 || !first || parts.length !== packed.length) throw notAHandle();
  return [first, ...others];
}

function parse(handle: unknown): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(String(handle), 'base64url').toString());
    if (Array.isArray(value)) return value;
  } catch {
    // said below
  }
  throw notAHandle();
}

const MODES: ReadonlySet<unknown> = new Set<LockMode>(['exclusive', 'shared', 'permits']);
/** The characters of owners, see `Claim`: what is in a handle goes to the server as it is. */
const OWNER = /^[A-Za-z0-9_.:/@~-]{1,128}$/;

function isPacked(part: unknown): part is Packed {
  if (!Array.isArray(part)) return false;
  const [name, key, owner, mode, take, of, ttlMs, fence] = part as unknown[];
  return (
    [name, key, owner, fence].every((text) => typeof text === 'string') &&
    OWNER.test(String(owner)) &&
    MODES.has(mode) &&
    [take, of, ttlMs].every((number) => Number.isInteger(number) && Number(number) >= 0) &&
    /^\d+$/.test(String(fence))
  );
}

function notAHandle(): LockConfigurationError {
  return new LockConfigurationError(
    'This is no handle of a lease; pass on what lease.handle() returned, unchanged.',
  );
}
