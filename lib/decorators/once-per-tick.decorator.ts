import { LockConfigurationError } from '../core/errors.js';
import { recordGuard } from '../guard-record.js';
import { scheduleOfMethod } from '../scheduling/schedule.js';
import { tickSettings, type OncePerTickOptions } from '../scheduling/tick-settings.js';
import { guardedMethod, refuseGenerator } from './guarded-method.js';
import { wrapMethod } from './method-wrapper.js';
import { locksOf, requestLocks } from './service-property.js';
import { siteOf } from './site.js';

const DECORATOR = '@OncePerTick()';

/**
 * Runs a cron method on one replica for each of its ticks, whatever the replicas' clocks show, and however short the
 * work. Above or below `@Cron`. Inside, `currentLease()` is the claim on the tick; its fence rises from run to run of the
 * same tick only, so it orders no ticks.
 *
 * The runs of two ticks may overlap when one takes longer than the time between them; add `@Locked` below for one at a
 * time.
 *
 * @throws LockConfigurationError at the definition of the class, when an option is wrong
 *
 * @example
 * @Cron('0 3 * * *', { timeZone: 'Europe/Berlin' })
 * @OncePerTick()
 * async nightly() {}
 */
export function OncePerTick(options: OncePerTickOptions = {}): MethodDecorator {
  return (target, property, descriptor: PropertyDescriptor) => {
    const site = siteOf(target, property);
    const method = guardedMethod(DECORATOR, target, descriptor, site);
    const settings = tickSettings(options, site);
    const { locks } = options;
    requestLocks(target, locks);
    recordGuard(target, { kind: 'once-per-tick', property, subject: settings.job, locks });

    const wrapper = wrapMethod(method, async (self, args) => {
      const service = locksOf(self, locks, site);
      const schedule = scheduleOfMethod(wrapper, target, property);
      if (schedule?.kind !== 'cron') {
        throw new LockConfigurationError(
          `@OncePerTick is on ${site}, which ${schedule ? `runs by @${schedule.kind === 'interval' ? 'Interval' : 'Timeout'}` : 'has no schedule'}, and only cron jobs have ticks that all replicas agree on; put @Cron on it. Nothing has run.`,
        );
      }
      const body = async (): Promise<unknown> =>
        refuseGenerator(DECORATOR, await Reflect.apply(method, self, args), site);
      return service.ticks.run({ site, self, guard: wrapper, schedule, settings, body });
    });
    Object.assign(descriptor, { value: wrapper });
  };
}
