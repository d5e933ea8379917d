/** What `@nestjs/schedule` leaves on the methods that it runs. It is no dependency, so these are known by their names. */
const TYPE = 'SCHEDULER_TYPE';
const NAME = 'SCHEDULER_NAME';
const CRON = 'SCHEDULE_CRON_OPTIONS';
const INTERVAL = 'SCHEDULE_INTERVAL_OPTIONS';

/** The time of a cron job as its decorator says it; `cronTime` is a pattern, or a date. */
export interface CronOptions {
  readonly cronTime?: unknown;
  readonly timeZone?: unknown;
  readonly utcOffset?: unknown;
}

/** When a method is run, and by what. */
export type Schedule =
  | { readonly kind: 'cron'; readonly name: string | undefined; readonly options: CronOptions }
  | { readonly kind: 'interval'; readonly everyMs: number }
  | { readonly kind: 'timeout' };

/** In the order of `SchedulerType`, which begins with 1. */
const KINDS = ['cron', 'timeout', 'interval'] as const;

/** The schedule of a method; undefined when it has none. */
export function scheduleOf(method: unknown): Schedule | undefined {
  if (typeof method !== 'function') return undefined;
  const type: unknown = Reflect.getMetadata(TYPE, method);
  const kind = typeof type === 'number' ? KINDS[type - 1] : undefined;
  if (kind === undefined) return undefined;
  if (kind === 'timeout') return { kind };
  if (kind === 'interval') {
    const { timeout } = Reflect.getMetadata(INTERVAL, method) as { readonly timeout: number };
    return { kind, everyMs: timeout };
  }
  const name: unknown = Reflect.getMetadata(NAME, method);
  const options = Reflect.getMetadata(CRON, method) as CronOptions;
  return { kind, name: typeof name === 'string' ? name : undefined, options };
}

/**
 * The schedule of a guarded method: by its own guard, or by the method that the class has in the end, because `@Cron` may
 * stand above a decorator that carries nothing over.
 */
export function scheduleOfMethod(
  guard: unknown,
  prototype: object,
  property: string | symbol,
): Schedule | undefined {
  return scheduleOf(guard) ?? scheduleOf(Reflect.get(prototype, property));
}
