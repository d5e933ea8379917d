import type { Clock } from '../../core/clock.js';
import type { NodeHealth } from '../lock-backend.js';
import { HEALTH_LIMIT_MS, healthByVisit, healthOf, isDown } from './node-health.js';
import { knownOptions, type RedisNode } from './redis-client.js';
import { lineTo, lineToSentinel, sentinelsOf, type Address } from './sentinels.js';
import { within } from '../time-limit.js';

/** How the Sentinels are, and the replicas that they know of; all within `limitMs`. Never rejects. */
export async function sentinelHealth(
  client: RedisNode,
  clock: Clock,
  limitMs = HEALTH_LIMIT_MS,
): Promise<readonly NodeHealth[]> {
  const untilMs = clock.now() + limitMs;
  const visits = sentinelsOf(client).map((address) => new SentinelVisit(client, address, clock, untilMs));
  // the first who knows will do: another one may be silent until the end
  const replicas = await Promise.any(visits.map((visit) => visit.replicas)).catch(() => []);
  const [seen, sentinels] = await Promise.all([
    Promise.all(replicas.map((address) => visitReplica(client, address, clock, untilMs))),
    Promise.all(visits.map((visit) => visit.health)),
  ]);
  return [...seen, ...sentinels].map((node) => ({ ...node, spare: true }));
}

/** A connection to one Sentinel, for two questions. */
class SentinelVisit {
  /** Rejects when it does not say. */
  readonly replicas: Promise<readonly Address[]>;
  readonly health: Promise<NodeHealth>;

  constructor(client: RedisNode, address: Address, clock: Clock, untilMs: number) {
    const node = `${address.host}:${address.port}`;
    const { name } = knownOptions(client);
    const visitor = lineToSentinel(client, address, {});
    const leftMs = (): number => Math.max(1, untilMs - clock.now());
    const connected = within(clock, leftMs(), visitor.connect());
    this.replicas = connected
      .then(() => within(clock, leftMs(), visitor.call('SENTINEL', 'REPLICAS', name ?? '')))
      .then(addressesIn);
    const health = connected
      .then(() => healthOf(visitor, node, clock, leftMs()))
      .catch((error: unknown) => isDown(node, error));
    this.health = health.then((found) => ({ ...found, role: 'sentinel' }));
    void Promise.allSettled([this.replicas, this.health]).then(() => visitor.disconnect());
  }
}

async function visitReplica(
  client: RedisNode,
  address: Address,
  clock: Clock,
  untilMs: number,
): Promise<NodeHealth> {
  const visitor = lineTo(client, address, {});
  const leftMs = Math.max(1, untilMs - clock.now());
  const health = await healthByVisit(visitor, `${address.host}:${address.port}`, clock, leftMs);
  return health.state === 'down' ? { ...health, role: 'replica' } : health;
}

/** A list of flat lists of names and values (RESP2), or of maps that the client flattened or not. */
function addressesIn(reply: unknown): Address[] {
  if (!Array.isArray(reply)) return [];
  return reply.flatMap((entry: unknown) => {
    const facts = factsOf(entry);
    const host = facts.get('ip');
    return host ? [{ host, port: Number(facts.get('port')) }] : [];
  });
}

function factsOf(entry: unknown): ReadonlyMap<string, string> {
  if (Array.isArray(entry)) {
    const pairs = entry.flatMap((name: unknown, at) =>
      at % 2 === 0 ? [[String(name), String(entry[at + 1])] as const] : [],
    );
    return new Map(pairs);
  }
  const object = typeof entry === 'object' && entry !== null ? entry : {};
  return new Map(Object.entries(object).map(([name, value]) => [name, String(value)]));
}
