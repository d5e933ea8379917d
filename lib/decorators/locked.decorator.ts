import { Observable } from 'rxjs';
import type { LockService } from '../lock.service.js';
import { answerBusy, splitOptions, type GuardedCall, type LockedOptions } from '../guarded-call.js';
import { recordGuard } from '../guard-record.js';
import { runOrHandOver } from '../handover.js';
import type { ScheduledCall } from '../scheduling/repeats.js';
import { scheduleOfMethod } from '../scheduling/schedule.js';
import { guardedMethod, refuseGenerator } from './guarded-method.js';
import { keysOf, methodKeys, type KeySource } from './method-key.js';
import { wrapMethod } from './method-wrapper.js';
import { locksOf, requestLocks } from './service-property.js';
import { siteOf } from './site.js';

const DECORATOR = "@Locked('key')";

/**
 * Refuses the method whose arguments cannot be given to a key function of A. TypeScript takes the bound of P for P
 * then, and lets it pass because parameters of methods are bivariant; but unlike any inferred list it is readonly.
 */
type Fits<P extends readonly unknown[], A extends readonly unknown[]> = A extends readonly []
  ? unknown
  : P extends unknown[]
    ? unknown
    : 'The arguments of the method do not fit the function that makes its key.';

/**
 * Runs a method while holding a lock, on one replica at a time. On any method of a provider, controller,
 * gateway or message handler; above or below its other decorators.
 *
 * The method returns a Promise from then on. One that is declared to return an Observable still does: each
 * subscription takes the lock, and gives it back at completion, error or unsubscription.
 *
 * On scheduled methods the defaults are `wait: 0` and `onBusy: 'skip'`.
 *
 * @param key a template like `'order:<order.id>'`, a list of templates (all are locked, or none), or a function
 *   of the arguments. In a template, `<name>` is the parameter of that name or marked `@KeyParam('name')`,
 *   `<0>` the first one, and `<name.path>` a property of it.
 * @throws LockConfigurationError at the definition of the class, when the key or an option is wrong
 * @throws LockTimeoutError, LockUnavailableError, LockKeyError from the method; its body has not run then
 *
 * @example
 * @Locked('seat:<seatId>', { wait: '2s' })
 * async sell(seatId: string, buyer: Buyer) {}
 */
export function Locked<A extends readonly unknown[] = []>(
  key: KeySource<A>,
  options: LockedOptions = {},
): <P extends readonly [...A, ...unknown[]], R>(
  target: object,
  property: string | symbol,
  descriptor: TypedPropertyDescriptor<(...args: P) => R> & Fits<P, A>,
) => void {
  return (target, property, descriptor) => {
    const site = siteOf(target, property);
    const method = guardedMethod(DECORATOR, target, descriptor, site);
    const { options: lock, onBusy, locks, atMostMs } = splitOptions(site, options, key);
    const make = methodKeys(key as KeySource, method, target, property, site);
    const observable = Reflect.getMetadata('design:returntype', target, property) === Observable;
    requestLocks(target, locks);
    recordGuard(target, { kind: 'locked', property, subject: subjectOf(key), locks });

    const wrapper = wrapMethod(method, (self, args) => {
      const schedule = scheduleOfMethod(wrapper, target, property);
      const busy = onBusy ?? (schedule ? 'skip' : 'throw');
      const call: GuardedCall = {
        site,
        skips: busy === 'skip',
        keys: () => keysOf(make, args, site),
        options: schedule && lock.wait === undefined ? { ...lock, wait: 0 } : lock,
        atMostMs,
        body: () => Reflect.apply(method, self, args),
        whenBusy: (error) => answerBusy(busy, error, args),
      };
      if (observable) return observe(self, locks, site, call);
      return run(self, locks, site, call, schedule && { site, self, guard: wrapper, schedule });
    });
    Object.assign(descriptor, { value: wrapper });
  };
}

function subjectOf(key: unknown): string {
  return typeof key === 'function' ? 'a function of the arguments' : [key].flat().join(', ');
}

async function run(
  self: object,
  name: string | undefined,
  site: string,
  call: GuardedCall,
  scheduled: ScheduledCall | undefined,
): Promise<unknown> {
  const locks = locksOf(self, name, site);
  const body: GuardedCall['body'] = async (lease) => refuseGenerator(DECORATOR, await call.body(lease), site);
  return runOrHandOver(
    { ...call, body },
    {
      clock: locks.clock,
      run: (guarded) => (scheduled ? locks.runJob(guarded, scheduled) : locks.run(guarded)),
      observe: (guarded) => locks.observe(guarded),
    },
  );
}

function observe(
  self: object,
  name: string | undefined,
  site: string,
  call: GuardedCall,
): Observable<unknown> {
  return new Observable((subscriber) => {
    let locks: LockService;
    try {
      locks = locksOf(self, name, site);
    } catch (error) {
      subscriber.error(error);
      return undefined;
    }
    return locks.observe(call).subscribe(subscriber);
  });
}
