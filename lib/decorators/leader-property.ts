import type { LeaderService } from '../leadership/leader.service.js';
import { leaderServiceToken } from '../leadership/leader.tokens.js';
import { missing, requestService, serviceOf } from './service-property.js';

/** Asks Nest to hand a leader service to every instance of the class. */
export function requestLeaders(prototype: object, name: string | undefined): void {
  requestService(prototype, leaderServiceToken(name));
}

/** @throws LockConfigurationError that says why there is none: nothing guarded may run then */
export function leadersOf(instance: unknown, name: string | undefined, site: string): LeaderService {
  const service = serviceOf(instance, leaderServiceToken(name)) as LeaderService | null | undefined;
  if (service) return service;
  throw missing(instance, name, site);
}
