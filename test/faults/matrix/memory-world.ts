import { NO_ROAD, type Road } from './road.js';
import type { Servers, World } from './world.js';

/** All locks are in the process of the only actor, and end with it. */
export class MemoryWorld implements World {
  readonly letter = 'M';
  readonly kind = 'memory';
  readonly isOneProcess = true;
  readonly connections = 0;
  readonly idleTimers = 0;
  readonly isPolled = false;

  get servers(): Servers {
    throw new Error('Locks in memory have no server.');
  }

  async road(): Promise<Road> {
    return NO_ROAD;
  }

  pids(): readonly number[] {
    return [];
  }

  async leftovers(): Promise<string[]> {
    return [];
  }

  async heal(): Promise<void> {}

  async stop(): Promise<void> {}
}
