import type { InjectionToken, Provider } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import type { LeadershipSettings } from './leadership/leadership-settings.js';
import { LeaderService } from './leadership/leader.service.js';
import { leaderServiceToken } from './leadership/leader.tokens.js';
import type { LockService } from './lock.service.js';
import { lockServiceToken } from './lock.tokens.js';
import { LockInventory } from './scheduling/lock-inventory.js';

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
  const inventory = Symbol.for(`${String(locks.description)}.inventory`);
  const providers: Provider[] = [
    {
      provide: leaders,
      inject: [locks, settings],
      useFactory: (service: LockService, given: LeadershipSettings | undefined) =>
        new LeaderService(service, given),
    },
    {
      provide: inventory,
      inject: [ModulesContainer, locks, leaders],
      useFactory: (modules: ModulesContainer, service: LockService, elections: LeaderService) =>
        new LockInventory(modules, service, elections, name),
    },
  ];
  if (name !== undefined) return { providers, exports: [leaders, inventory] };
  const aliases: Provider[] = [
    { provide: LeaderService, useExisting: leaders },
    { provide: LockInventory, useExisting: inventory },
  ];
  return { providers: [...providers, ...aliases], exports: [leaders, LeaderService, LockInventory] };
}
