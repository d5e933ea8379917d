import { recordGuard } from '../guard-record.js';
import { scheduleOfMethod } from '../scheduling/schedule.js';
import { shardSettings, type ShardOptions } from '../scheduling/shard-settings.js';
import type { Shard } from '../scheduling/shard.js';
import type { ShardService } from '../scheduling/shard.service.js';
import { shardServiceToken } from '../scheduling/shard.tokens.js';
import { guardedMethod, refuseGenerator } from './guarded-method.js';
import { wrapMethod } from './method-wrapper.js';
import { missing, requestService, serviceOf } from './service-property.js';
import { siteOf } from './site.js';

const DECORATOR = "@Sharded({ group: 'imports', shards: 16 })";

/** The options of `@Sharded`. */
export interface ShardedOptions extends ShardOptions {
  /** The `name` of the lock service to use. Default: the one without a name. */
  readonly locks?: string;
}

/**
 * Calls a method with the shards that this replica owns, and not at all while it owns none. The shards are spread evenly
 * over the replicas, and each is owned by one at a time; when one has to be given away, its signal aborts. Two runs of the
 * method never work on one shard.
 *
 * On scheduled and other methods of providers, above or below other decorators. Its only argument is the list of shards.
 *
 * @throws LockConfigurationError at the definition of the class, when an option is wrong
 *
 * @example
 * @Interval(1_000)
 * @Sharded({ group: 'imports', shards: 16 })
 * async import(shards: readonly Shard[]) {
 *   for (const { index, of, fence, signal } of shards) {}
 * }
 */
export function Sharded(
  options: ShardedOptions,
): <R>(
  target: object,
  property: string | symbol,
  descriptor: TypedPropertyDescriptor<(shards: readonly Shard[]) => R>,
) => void {
  return (target, property, descriptor) => {
    const site = siteOf(target, property);
    const method = guardedMethod(DECORATOR, target, descriptor, site);
    const { locks, ...sharding } = options;
    const { group } = shardSettings(sharding);
    const token = shardServiceToken(locks);
    requestService(target, token);
    recordGuard(target, { kind: 'sharded', property, subject: group, locks, sharding });

    const wrapper = wrapMethod(method, async (self) => {
      const service = serviceOf(self, token) as ShardService | null | undefined;
      if (!service) throw missing(self, locks, site);
      const schedule = scheduleOfMethod(wrapper, target, property);
      const scheduled = schedule && { site, self, guard: wrapper, schedule };
      const body = async (shards: readonly Shard[]): Promise<unknown> =>
        refuseGenerator(DECORATOR, await Reflect.apply(method, self, [shards]), site);
      return service.run({ site, group, guard: wrapper, body, scheduled });
    });
    Object.assign(descriptor, { value: wrapper });
  };
}
