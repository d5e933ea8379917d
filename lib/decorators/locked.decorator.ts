import { Observable } from 'rxjs';
import { LockConfigurationError, show } from '../core/errors.js';
import type { LockService } from '../lock.service.js';
import { answerBusy, splitOptions, type GuardedCall, type LockedOptions } from '../guarded-call.js';
import { runOrHandOver } from '../handover.js';
import { keysOf, methodKeys, type KeySource } from './method-key.js';
import { wrapMethod, type Method } from './method-wrapper.js';
import { locksOf, requestLocks } from './service-property.js';
import { siteOf } from './site.js';

/** What `@nestjs/schedule` leaves on the methods that it runs. */
const SCHEDULED = 'SCHEDULER_TYPE';

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
    const method = methodOf(target, descriptor, site);
    const { options: lock, onBusy, locks } = splitOptions(site, options);
    const make = methodKeys(key as KeySource, method, target, property, site);
    const observable = Reflect.getMetadata('design:returntype', target, property) === Observable;
    requestLocks(target, locks);

    const wrapper = wrapMethod(method, (self, args) => {
      const scheduled = isScheduled(wrapper) || isScheduled(Reflect.get(target, property));
      const busy = onBusy ?? (scheduled ? 'skip' : 'throw');
      const call: GuardedCall = {
        site,
        skips: busy === 'skip',
        keys: () => keysOf(make, args, site),
        options: scheduled && lock.wait === undefined ? { ...lock, wait: 0 } : lock,
        body: () => Reflect.apply(method, self, args),
        whenBusy: (error) => answerBusy(busy, error, args),
      };
      if (observable) return observe(self, locks, site, call);
      return run(self, locks, site, call, scheduled);
    });
    Object.assign(descriptor, { value: wrapper });
  };
}

function methodOf(
  target: object,
  descriptor: { readonly value?: unknown } | undefined,
  site: string,
): Method {
  const value = descriptor?.value;
  if (typeof value !== 'function') {
    throw new LockConfigurationError(
      `@Locked is on ${site}, which is ${show(value)}; put it on a method, with parentheses: @Locked('key').`,
    );
  }
  if (typeof target === 'function') {
    throw new LockConfigurationError(
      `@Locked is on ${site}, but Nest hands its services to instances; make it an instance method, or use LockService.using.`,
    );
  }
  refuseGenerator(value, site);
  return value as Method;
}

/** Its work would begin when somebody iterates, long after the lock was given back. */
function refuseGenerator<T>(value: T, site: string): T {
  if (!/Generator/.test(Object.prototype.toString.call(value))) return value;
  throw new LockConfigurationError(
    `@Locked is on ${site}, and a generator works only while somebody iterates, without the lock by then; let the method return a Promise or an Observable.`,
  );
}

/** Looked for on the method that the class has in the end, too: `@Cron` may stand above another decorator. */
function isScheduled(method: unknown): boolean {
  return typeof method === 'function' && Reflect.hasMetadata(SCHEDULED, method);
}

async function run(
  self: object,
  name: string | undefined,
  site: string,
  call: GuardedCall,
  scheduled: boolean,
): Promise<unknown> {
  const locks = locksOf(self, name, site);
  const body: GuardedCall['body'] = async (lease) => refuseGenerator(await call.body(lease), site);
  return runOrHandOver(
    { ...call, body },
    {
      clock: locks.clock,
      run: (guarded) => (scheduled ? locks.runJob(guarded) : locks.run(guarded)),
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
