import { BackendError } from '../backend-error.js';

/** What the server says of itself. */
export interface RedisServerInfo {
  readonly version: string;
  readonly role: string;
  /** `standalone`, `cluster` or `sentinel`. */
  readonly mode: string;
  /** Locks that may be evicted for want of memory; undefined when none is. */
  readonly evictionPolicy: string | undefined;
}

/** `SET … GET` came with it. */
const OLDEST = [6, 2] as const;

export function parseInfo(text: string): RedisServerInfo {
  const facts = new Map(
    text.split('\r\n').map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1)] as const;
    }),
  );
  const policy = facts.get('maxmemory_policy');
  const evicts = policy !== undefined && policy !== 'noeviction' && facts.get('maxmemory') !== '0';
  return {
    version: facts.get('redis_version') ?? '',
    role: facts.get('role') ?? 'unknown',
    mode: facts.get('redis_mode') ?? 'standalone',
    evictionPolicy: evicts ? policy : undefined,
  };
}

function isTooOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]);
}

/** Rejects, in a sentence, a server that cannot keep locks. */
export function assertUsable(info: RedisServerInfo, address: string): void {
  const refuse = (why: string): never => {
    throw new BackendError(`Redis at ${address} cannot be used: ${why}.`, 'denied');
  };
  if (info.mode === 'sentinel')
    refuse('it is a Sentinel, which is not supported yet; give the address of the primary');
  if (info.mode === 'cluster') refuse('it is a node of a cluster, which is not supported yet');
  if (isTooOld(info.version))
    refuse(`it is version ${info.version}, and 6.2 is the oldest that has the commands needed`);
  if (info.role === 'slave')
    refuse('it is a replica, which takes no writes; give the address of the primary');
}

/** A warning, or nothing. */
export function evictionWarning(info: RedisServerInfo, address: string): Error | undefined {
  if (info.evictionPolicy === undefined) return undefined;
  return new Error(
    `Redis at ${address} may throw locks away when its memory is full (maxmemory-policy ${info.evictionPolicy}); ` +
      'a lock that was thrown away is granted again. Use noeviction, or a server of its own for the locks.',
  );
}
