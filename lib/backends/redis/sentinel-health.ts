import type { Clock } from '../../core/clock.js';
import type { NodeHealth } from '../lock-backend.js';
import { HEALTH_LIMIT_MS, healthByVisit, healthOf, isDown } from './node-health.js';
import { knownOptions, type RedisNode } from './redis-client.js';
import { lineTo, lineToSentinel, sentinelsOf, type Address } from './sentinels.js';
import { within } from '../time-limit.js';

/** How the Sentinels are, and the replicas that they know of. Never rejects. */
export async function sentinelHealth(client: RedisNode, clock: Clock): Promise<readonly NodeHealth[]> {
  const visits = await Promise.all(
    sentinelsOf(client).map((address) => visitSentinel(client, address, clock)),
  );
  const replicas = visits.find((visit) => visit.replicas)?.replicas ?? [];
  const seen = await Promise.all(replicas.map((address) => visitReplica(client, address, clock)));
  return [...seen, ...visits.map(({ health }) => health)];
}

async function visitSentinel(
  client: RedisNode,
  address: Address,
  clock: Clock,
): Promise<{ health: NodeHealth; replicas?: readonly Address[] }> {
  const node = `${address.host}:${address.port}`;
  const { name } = knownOptions(client);
  const visitor = lineToSentinel(client, address, {});
  try {
    await within(clock, HEALTH_LIMIT_MS, visitor.connect());
    const [health, replicas] = await Promise.all([
      healthOf(visitor, node, clock),
      within(clock, HEALTH_LIMIT_MS, visitor.call('SENTINEL', 'REPLICAS', name ?? '')),
    ]);
    return { health: { ...health, role: 'sentinel' }, replicas: addressesIn(replicas) };
  } catch (error) {
    return { health: isDown(node, error, 'sentinel') };
  } finally {
    visitor.disconnect();
  }
}

async function visitReplica(client: RedisNode, address: Address, clock: Clock): Promise<NodeHealth> {
  const health = await healthByVisit(lineTo(client, address, {}), `${address.host}:${address.port}`, clock);
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
