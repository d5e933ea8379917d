import { defer, from, Observable, switchMap } from 'rxjs';
import { recordGuard } from '../guard-record.js';
import { checkGroup, DEFAULT_GROUP } from '../leadership/leadership-settings.js';
import { checkOnFollower, type LeaderCall, type OnFollower } from '../leadership/leader.service.js';
import { scheduleOfMethod } from '../scheduling/schedule.js';
import { guardedMethod, refuseGenerator } from './guarded-method.js';
import { leadersOf, requestLeaders } from './leader-property.js';
import { wrapMethod } from './method-wrapper.js';
import { siteOf } from './site.js';

const DECORATOR = '@LeaderOnly()';
/** What Nest leaves on handlers of HTTP requests, of messages and of WebSockets. */
const HANDLER_KEYS: readonly string[] = ['path', 'microservices:pattern', 'message'];

/** The options of `@LeaderOnly`. */
export interface LeaderOnlyOptions {
  /**
   * What a call does on a replica that does not lead. `skip`: it resolves with undefined, and nothing has run. `throw`:
   * it rejects with `NotLeaderError`, which says who leads. Default `skip`; on handlers `throw`.
   */
  readonly onFollower?: OnFollower;
  /** The `name` of the lock service whose elections count. Default: the one without a name. */
  readonly locks?: string;
}

/**
 * Runs a method only on the replica that leads a group. On scheduled and all other methods of providers, and on handlers;
 * above or below other decorators. Inside, `currentLease()` is the lease of the term: its signal aborts at the end of the
 * leadership, and its fence is the term.
 *
 * The method returns a Promise from then on; one that is declared to return an Observable still does.
 *
 * @throws LockConfigurationError at the definition of the class, when something is wrong
 *
 * @example
 * @Cron('0 3 * * *')
 * @LeaderOnly()
 * async nightly() {}
 */
export function LeaderOnly(group: string = DEFAULT_GROUP, options: LeaderOnlyOptions = {}): MethodDecorator {
  return (target, property, descriptor: PropertyDescriptor) => {
    const site = siteOf(target, property);
    const method = guardedMethod(DECORATOR, target, descriptor, site);
    const { locks, onFollower } = options;
    if (onFollower !== undefined) checkOnFollower(onFollower, site);
    checkGroup(group);
    requestLeaders(target, locks);
    recordGuard(target, { kind: 'leader-only', property, subject: group, locks });
    const observable = Reflect.getMetadata('design:returntype', target, property) === Observable;

    const wrapper = wrapMethod(method, (self, args) => {
      const schedule = scheduleOfMethod(wrapper, target, property);
      const isHandler = [wrapper, Reflect.get(target, property) as object].some(isHandlerMethod);
      const call: LeaderCall = {
        site,
        group,
        onFollower: onFollower ?? (isHandler ? 'throw' : 'skip'),
        body: () => Reflect.apply(method, self, args),
      };
      if (observable) return observe(self, locks, call);
      const body = async (): Promise<unknown> => refuseGenerator(DECORATOR, await call.body(), site);
      return run(self, locks, { ...call, body }, schedule && { site, self, guard: wrapper, schedule });
    });
    Object.assign(descriptor, { value: wrapper });
  };
}

async function run(
  self: object,
  locks: string | undefined,
  call: LeaderCall,
  scheduled: LeaderCall['scheduled'],
): Promise<unknown> {
  const leaders = leadersOf(self, locks, call.site);
  return scheduled ? leaders.runJob({ ...call, scheduled }) : leaders.run(call);
}

/** Each subscription asks anew, and belongs to the term until it has ended. */
function observe(self: object, locks: string | undefined, call: LeaderCall): Observable<unknown> {
  return defer(() => {
    const leaders = leadersOf(self, locks, call.site);
    return from(leaders.permit(call)).pipe(switchMap((permit) => permit(call.body)));
  });
}

function isHandlerMethod(method: unknown): boolean {
  return typeof method === 'function' && HANDLER_KEYS.some((key) => Reflect.hasMetadata(key, method));
}
