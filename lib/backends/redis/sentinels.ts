import { VISIT } from './node-health.js';
import { DISCONNECT_LIMIT_MS } from './own-client.js';
import { knownOptions, type RedisNode } from './redis-client.js';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** The Sentinels that a client was told of. */
export function sentinelsOf(client: RedisNode): Address[] {
  const { sentinels } = knownOptions(client);
  return (sentinels ?? []).map(({ host, port }) => ({ host: host ?? 'localhost', port: port ?? 26_379 }));
}

/** A further connection, made like the client's own one, to a Sentinel. */
export function lineToSentinel(client: RedisNode, address: Address, settings: object): RedisNode {
  const { sentinelUsername, sentinelPassword, sentinelTLS } = knownOptions(client);
  return lineTo(client, address, {
    username: sentinelUsername ?? null,
    password: sentinelPassword ?? null,
    tls: sentinelTLS,
    db: 0,
    ...settings,
  });
}

/** The same to a server that the Sentinels know. */
export function lineTo(client: RedisNode, address: Address, settings: object): RedisNode {
  const line = client.duplicate({
    ...VISIT,
    disconnectTimeout: DISCONNECT_LIMIT_MS,
    ...address,
    sentinels: null,
    name: null,
    role: null,
    failoverDetector: false,
    keyPrefix: '',
    ...settings,
  });
  // who uses it tells of its trouble, or has none; the client would tell the console
  line.on('error', () => undefined);
  return line;
}
