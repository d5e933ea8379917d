import { redis, type RedisOptions } from '../../lib/backends/redis/index.js';
import { PREFIX, type Battlefield } from './fail-over-trial.js';
import { RedisClusterWorld } from './redis-cluster.js';
import { RedisSentinelWorld } from './redis-sentinel.js';
import type { RedisServer } from './redis-server.js';

/** Sentinels, of whose servers the primary is struck. */
export function sentinelField(world: RedisSentinelWorld, settings: RedisOptions = {}): Battlefield {
  return {
    backend: () => redis({ sentinels: world.sentinels, name: world.name, ...settings }),
    keys: async (stem, count) => Array.from({ length: count }, (_, at) => `${stem}:${at}`),
    strike: async (strike, meanwhile) => {
      const primary = await world.primary();
      if (strike === 'clean') await world.failOver();
      if (strike === 'losing') await world.losingFailOver(meanwhile);
      if (strike === 'frozen') await freezeUntil(primary, () => world.successorOf(primary));
    },
    heal: () => world.heal(),
    leftovers: async () => leftoversOn([await world.primary()]),
  };
}

/** A cluster, of which the server of the first slots is struck. */
export function clusterField(world: RedisClusterWorld, settings: RedisOptions = {}): Battlefield {
  const isInDanger = async (key: string): Promise<boolean> => {
    const [slot, firstElsewhere] = [await world.slotOf(`${PREFIX}:${key}`), Math.floor(16_384 / 3)];
    return slot < firstElsewhere;
  };
  return {
    backend: () => redis({ cluster: world.nodes, ...settings }),
    keys: async (stem, count) => {
      const found: string[] = [];
      for (let at = 0; found.length < count / 2; at++) {
        const key = `${stem}:${at}`;
        if (await isInDanger(key)) found.push(key);
      }
      for (let at = 0; found.length < count; at++) {
        const key = `${stem}:anywhere:${at}`;
        found.push(key);
      }
      return found;
    },
    strike: async (strike, meanwhile) => {
      const primary = await world.primaryOf(0);
      const replica = await world.replicaOf(primary);
      if (strike === 'clean') await world.failOver(primary);
      if (strike === 'losing') await world.losingFailOver(primary, meanwhile);
      if (strike === 'frozen') await freezeUntil(primary, () => world.inOffice(replica));
    },
    heal: () => world.heal(),
    leftovers: async () => leftoversOn(await world.primaries()),
  };
}

async function freezeUntil(primary: RedisServer, replaced: () => Promise<unknown>): Promise<void> {
  primary.freeze();
  try {
    await replaced();
  } finally {
    primary.thaw();
  }
}

async function leftoversOn(primaries: readonly RedisServer[]): Promise<string[]> {
  const names = await Promise.all(
    primaries.map(async (server) => (await server.call('KEYS', '*')) as string[]),
  );
  return names.flat().filter((name) => !name.endsWith(':fence') && !name.includes(':gone:'));
}
