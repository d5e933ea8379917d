import type { ShardOptions } from './scheduling/shard-settings.js';

const RECORDS = Symbol.for('nestjs-interlock.guards');

/** What guards a method. */
export type GuardKind = 'locked' | 'leader-only' | 'once-per-tick' | 'sharded' | 'on-elected' | 'on-deposed';

/** What a decorator of ours left on a method. */
export interface GuardRecord {
  readonly kind: GuardKind;
  readonly property: string | symbol;
  /** The key, the group or the job, as people would write it. */
  readonly subject: string;
  /** The `name` of the lock service; undefined for the one without. */
  readonly locks: string | undefined;
  /** The shards that it works on, where there are any. */
  readonly sharding?: ShardOptions;
}

/** Notes what guards a method, for the inventory at the start. */
export function recordGuard(target: object, record: GuardRecord): void {
  Reflect.defineMetadata(RECORDS, [...ownRecords(target), record], target);
}

/** What guards the methods of a class, those that it inherits included, but for those that it has overridden. */
export function guardsOf(prototype: object): readonly GuardRecord[] {
  const found: GuardRecord[] = [];
  const overridden = new Set<string | symbol>();
  for (let level: object | null = prototype; level && level !== Object.prototype; level = above(level)) {
    found.push(...ownRecords(level).filter(({ property }) => !overridden.has(property)));
    for (const property of Reflect.ownKeys(level)) overridden.add(property);
  }
  return found;
}

function above(level: object): object | null {
  return Object.getPrototypeOf(level) as object | null;
}

function ownRecords(target: object): readonly GuardRecord[] {
  const known: unknown = Reflect.getOwnMetadata(RECORDS, target);
  return Array.isArray(known) ? (known as GuardRecord[]) : [];
}
