import type { InjectionToken, Provider } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import type { LeadershipSettings } from './leadership/leadership-settings.js';
import { LeaderService } from './leadership/leader.service.js';
import { leaderServiceToken } from './leadership/leader.tokens.js';
import type { LockService } from './lock.service.js';
import { lockServiceToken } from './lock.tokens.js';
import { LockInventory } from './scheduling/lock-inventory.js';
import { ShardService } from './scheduling/shard.service.js';
import { shardServiceToken } from './scheduling/shard.tokens.js';

/** What stands beside a lock service in its module, and is known outside of it. */
export interface LockParts {
  readonly providers: Provider[];
  readonly exports: InjectionToken[];
}

/**
 * @param name that of the lock service
 * @param settings the token under which the settings of its elections are provided
 */
export function lockParts(name: string | undefined, settings: InjectionToken): LockParts {
  const locks = lockServiceToken(name);
  const leaders = leaderServiceToken(name);
  const shards = shardServiceToken(name);
  // not what a lock service is called by: those of all names are found by it
  const inventory = Symbol.for(`nestjs-interlock.inventory${name === undefined ? '' : `:${name}`}`);
  const providers: Provider[] = [
    {
      provide: leaders,
      inject: [locks, settings],
      useFactory: (service: LockService, given: LeadershipSettings | undefined) =>
        new LeaderService(service, given),
    },
    { provide: shards, inject: [locks], useFactory: (service: LockService) => new ShardService(service) },
    {
      provide: inventory,
      inject: [ModulesContainer, locks, leaders, shards],
      useFactory: (
        modules: ModulesContainer,
        service: LockService,
        elections: LeaderService,
        sharding: ShardService,
      ) => new LockInventory(modules, service, elections, sharding, name),
    },
  ];
  if (name !== undefined) return { providers, exports: [leaders, shards, inventory] };
  const aliases: Provider[] = [
    { provide: LeaderService, useExisting: leaders },
    { provide: ShardService, useExisting: shards },
    { provide: LockInventory, useExisting: inventory },
  ];
  return {
    providers: [...providers, ...aliases],
    exports: [leaders, LeaderService, shards, ShardService, LockInventory],
  };
}
