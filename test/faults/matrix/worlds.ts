import type { Letter } from './fault-table.js';
import { MariadbWorld } from './mariadb-world.js';
import { MemoryWorld } from './memory-world.js';
import { PostgresWorld } from './postgres-world.js';
import { ClusterWorld, SentinelWorld, SingleRedisWorld } from './redis-world.js';
import type { World } from './world.js';

/** The backends that are built, and where they are played. */
export const WORLDS: Readonly<Partial<Record<Letter, () => Promise<World>>>> = {
  M: async () => new MemoryWorld(),
  R: () => SingleRedisWorld.start(),
  S: () => SentinelWorld.start(),
  C: () => ClusterWorld.start(),
  P: () => PostgresWorld.start(),
  Y: () => MariadbWorld.start(),
};
