import type { Busy, Claim, HolderSnapshot, LockMode, LockSnapshot } from '../lock-backend.js';

const LETTERS: Readonly<Record<LockMode, string>> = { exclusive: 'e', shared: 's', permits: 'p' };
const MODES = new Map<string, LockMode>([
  ['e', 'exclusive'],
  ['s', 'shared'],
  ['p', 'permits'],
]);

/** As the statements know the mode. */
export function letterOf({ mode }: Claim): string {
  return LETTERS[mode];
}

/** What a claim was answered: a fence, what is in the way, or that its owner has given up. */
export type ClaimReply = { readonly fence: bigint } | { readonly busy: Busy } | 'abandoned';

/** `g FENCE`, `b MS AHEAD HOLDER` with a holder that may be missing, or `x`. */
export function readClaim(reply: string): ClaimReply {
  const [kind, first = '0', ahead, holder] = reply.split(' ');
  if (kind === 'g') return { fence: BigInt(first) };
  if (kind === 'x') return 'abandoned';
  const when = { expiresInMs: Math.max(0, Number(first)), ahead: Number(ahead) };
  return { busy: holder ? { holder, ...when } : when };
}

/** One row of a listing, as JSON. */
interface ListedLock {
  readonly key: string;
  readonly waiting: number;
  /** Mode and permits of who is first in the line. */
  readonly first: readonly [string, number] | null;
  readonly holders: readonly ListedHolder[];
}

interface ListedHolder {
  readonly owner: string;
  readonly mode: string;
  readonly take: number;
  readonly permits: number;
  readonly fence: string;
  readonly leaseMs: number;
  readonly closedMs: number;
  readonly lingers: boolean | 0 | 1;
}

export function keyOf(row: string): string {
  return (JSON.parse(row) as ListedLock).key;
}

/** Null when nobody holds it and nobody waits. */
export function readSnapshot(row: string): LockSnapshot | null {
  const { key, waiting, first, holders } = JSON.parse(row) as ListedLock;
  const mode = MODES.get(holders[0]?.mode ?? first?.[0] ?? '');
  if (!mode) return null;
  const of = holders.length > 0 ? Math.min(...holders.map(({ permits }) => permits)) : (first?.[1] ?? 0);
  return { key, mode, of, holders: holders.map(readHolder), waiting };
}

function readHolder({ owner, take, fence, leaseMs, closedMs, lingers }: ListedHolder): HolderSnapshot {
  const known = { owner, take, fence: BigInt(fence) };
  if (lingers) return { ...known, expiresInMs: leaseMs, state: 'lingering' };
  if (leaseMs > 0) return { ...known, expiresInMs: leaseMs };
  return { ...known, expiresInMs: closedMs, state: 'delayed' };
}
