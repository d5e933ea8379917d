import { BackendError } from '../backend-error.js';

export type RedisMode = 'standalone' | 'cluster';

/** What the server says of itself. */
export interface RedisServerInfo {
  readonly version: string;
  /** `primary` or `replica`. */
  readonly role: string;
  /** `standalone`, `cluster` or `sentinel`. */
  readonly mode: string;
  /** It is reading its data from disk, and refuses everything else meanwhile. */
  readonly loading: boolean;
  /** Locks that may be evicted for want of memory; undefined when none is. */
  readonly evictionPolicy: string | undefined;
}

/** `SET … GET` came with it. */
const OLDEST = [6, 2] as const;

const SLOTS = 16_384;

const ROLES = new Map([
  ['master', 'primary'],
  ['slave', 'replica'],
]);

export function parseInfo(text: string): RedisServerInfo {
  const facts = factsIn(text);
  const policy = facts.get('maxmemory_policy');
  const evicts = policy !== undefined && policy !== 'noeviction' && facts.get('maxmemory') !== '0';
  return {
    version: facts.get('redis_version') ?? '',
    role: ROLES.get(facts.get('role') ?? '') ?? 'unknown',
    mode: facts.get('redis_mode') ?? 'standalone',
    loading: facts.get('loading') === '1',
    evictionPolicy: evicts ? policy : undefined,
  };
}

/** Lines of `name:value`. */
function factsIn(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split('\r\n').map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1)] as const;
    }),
  );
}

function isTooOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]);
}

/** Rejects, in a sentence, a server that cannot keep locks, or is not what was expected behind the address. */
export function assertUsable(info: RedisServerInfo, address: string, expected: RedisMode): void {
  const refuse = (why: string): never => {
    throw new BackendError(`Redis at ${address} cannot be used: ${why}.`, 'denied');
  };
  if (info.mode === 'sentinel')
    refuse(
      'it is a Sentinel; give redis({ sentinels: [address], name }), where name is what it calls the primary',
    );
  if (info.mode === 'cluster' && expected === 'standalone')
    refuse('it is a node of a cluster; give redis({ cluster: [address] }), or a Cluster client');
  if (isTooOld(info.version))
    refuse(`it is version ${info.version}, and 6.2 is the oldest that has the commands needed`);
  if (info.role === 'replica')
    refuse('it is a replica, which takes no writes; give the address of the primary');
}

/** Rejects, in a sentence, a cluster that leaves locks without a server. */
export function assertCovered(clusterInfo: string, address: string): void {
  const facts = factsIn(clusterInfo);
  const served = Number(facts.get('cluster_slots_assigned')) - Number(facts.get('cluster_slots_fail'));
  const refuse = (why: string): never => {
    throw new BackendError(`The Redis cluster at ${address} cannot be used: ${why}.`, 'denied');
  };
  if (served < SLOTS)
    refuse(
      `only ${served} of its ${SLOTS} slots are served, and a lock can be in any of them; repair it (redis-cli --cluster fix)`,
    );
  if (facts.get('cluster_state') !== 'ok') refuse('it is down (cluster_state is not ok)');
}

/** A server that throws away what it has no memory for. */
export function evictionWarnings(info: RedisServerInfo, address: string): Error[] {
  if (info.evictionPolicy === undefined) return [];
  return [
    new Error(
      `Redis at ${address} may throw locks away when its memory is full (maxmemory-policy ${info.evictionPolicy}); ` +
        'a lock that was thrown away is granted again. Use noeviction, or a server of its own for the locks.',
    ),
  ];
}
