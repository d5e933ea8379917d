import type { Letter } from './fault-table.js';
import { MemoryWorld } from './memory-world.js';
import { ClusterWorld, SentinelWorld, SingleRedisWorld } from './redis-world.js';
import type { World } from './world.js';

/** Backends that are built, and have no world yet: what they survive is not shown. */
export const WITHOUT_WORLD: readonly Letter[] = ['P'];

/** The backends that are built, and where they are played. */
export const WORLDS: Readonly<Partial<Record<Letter, () => Promise<World>>>> = {
  M: async () => new MemoryWorld(),
  R: () => SingleRedisWorld.start(),
  S: () => SentinelWorld.start(),
  C: () => ClusterWorld.start(),
};
