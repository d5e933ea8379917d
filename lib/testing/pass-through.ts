import { memory } from '../backends/memory/index.js';
import type { GuardOptions, Terms } from '../core/options.js';
import { LockService } from '../lock.service.js';
import { ManualClock } from './manual-clock.js';

/**
 * A lock service that grants every lock at once, to everybody, without a server: guarded methods run, and
 * `currentLease()` is a lease that lasts, but nothing is excluded. It takes the place of an application's own one.
 *
 * @example
 * Test.createTestingModule({ imports: [AppModule] })
 *   .overrideProvider(lockServiceToken())
 *   .useValue(passThroughLocks())
 */
export function passThroughLocks(): LockService {
  return new PassThroughService();
}

/** Everybody shares every key, and no time passes: nobody waits, and nothing has to be renewed. */
class PassThroughService extends LockService {
  constructor() {
    super(memory(), { clock: new ManualClock() });
  }

  /** What is wrong in them is refused here as it is elsewhere. */
  protected override terms(options: GuardOptions | undefined): Terms {
    return { ...super.terms(options), mode: 'shared', take: 1, of: 0, minHoldMs: 0 };
  }
}
