import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import { LockConfigurationError } from '../core/errors.js';
import { guardsOf, type GuardKind, type GuardRecord } from '../guard-record.js';
import type { Leadership } from '../leadership/term.js';
import type { LeaderService } from '../leadership/leader.service.js';
import type { LockService } from '../lock.service.js';
import type { ShardService } from './shard.service.js';
import { scheduleOf, type Schedule } from './schedule.js';

/** One guarded method of an application. */
export interface GuardedMethod {
  /** By which decorator. */
  readonly kind: GuardKind;
  /** `Reports.nightly`, by the class that is provided. */
  readonly site: string;
  /** The key, the group or the job. */
  readonly subject: string;
  /** What calls it by the clock; undefined when nothing does. */
  readonly schedule: Schedule['kind'] | undefined;
  /** How many instances Nest keeps; 0 when it makes one for each request. */
  readonly instances: number;
  /** What is odd about it, in sentences. */
  readonly warnings: readonly string[];
}

/** A class with guarded methods, and what Nest made of it. */
interface GuardedClass {
  readonly type: { readonly name: string; readonly prototype: object };
  readonly records: readonly GuardRecord[];
  /** One for each time that it is provided, the same one again for an alias. */
  readonly instances: object[];
}

/**
 * What of an application is guarded, by which decorator, and by which key, group or job: looked up once, when all
 * providers are there and before anything runs. Guards that contradict each other are refused.
 */
@Injectable()
export class LockInventory implements OnModuleInit {
  private readonly logger = new Logger(LockInventory.name);
  private found: readonly GuardedMethod[] = [];
  private done = false;

  /** @internal */
  constructor(
    private readonly modules: ModulesContainer,
    private readonly locks: LockService,
    private readonly leaders: LeaderService,
    private readonly shards: ShardService,
    private readonly name: string | undefined,
  ) {}

  /** All guarded methods; empty before the application is initialised. */
  get methods(): readonly GuardedMethod[] {
    return this.found;
  }

  /** @throws LockConfigurationError when guards contradict each other */
  onModuleInit(): void {
    if (this.done) return;
    this.done = true;
    this.locks.jobs.instances = () => this.instances();
    const classes = [...this.classes()];
    const methods = classes.flatMap((found) => this.methodsOf(found));
    refuseSharedJobs(methods);
    this.found = withSharedKeys(methods);
    for (const { warnings } of this.found) for (const warning of warnings) this.logger.warn(warning);
    for (const found of classes) this.connect(found);
  }

  private methodsOf({ type, records, instances }: GuardedClass): GuardedMethod[] {
    return records.map(({ kind, property, subject }) => {
      const site = `${type.name}.${String(property)}`;
      const schedule = scheduleOf(Reflect.get(type.prototype, property))?.kind;
      if (kind === 'once-per-tick' && schedule !== 'cron') throw noTicks(site, schedule);
      if (kind.startsWith('on-') && instances.length === 0) throw noListener(site, kind);
      const warnings =
        schedule && instances.length === 0
          ? [
              `${site} is scheduled and guarded, but its class is made anew for each request, so it will never run by its schedule; make the class a singleton.`,
            ]
          : [];
      return { kind, site, subject, schedule, instances: new Set(instances).size, warnings };
    });
  }

  /** Tells those whom it concerns. */
  private connect({ type, records, instances }: GuardedClass): void {
    if (instances.length > 1) this.locks.jobs.repeats.expect(type);
    for (const { kind, property, subject: group, sharding } of records) {
      if (sharding) this.shards.join(sharding);
      if (kind === 'leader-only') this.leaders.join(group);
      if (kind !== 'on-elected' && kind !== 'on-deposed') continue;
      for (const instance of new Set(instances)) {
        this.leaders.listen({
          site: `${type.name}.${String(property)}`,
          group,
          when: kind === 'on-elected' ? 'elected' : 'deposed',
          call: (leadership) => (instance as Listener)[property]?.(leadership),
        });
      }
    }
  }

  private *classes(): Iterable<GuardedClass> {
    const classes = new Map<unknown, GuardedClass>();
    for (const { metatype, inject, instance, isStatic } of this.wrappers()) {
      const prototype = prototypeOf(metatype, inject, instance);
      const type: unknown = prototype && Reflect.get(prototype, 'constructor');
      if (!prototype || typeof type !== 'function') continue;
      const records = guardsOf(prototype).filter(({ locks }) => locks === this.name);
      if (records.length === 0) continue;
      const known: GuardedClass = classes.get(type) ?? { type, records, instances: [] };
      classes.set(type, known);
      if (isStatic && typeof instance === 'object' && instance !== null) known.instances.push(instance);
    }
    yield* classes.values();
  }

  private *instances(): Iterable<unknown> {
    for (const { instance } of this.wrappers()) yield instance;
  }

  private *wrappers(): Iterable<Wrapper> {
    for (const { providers, controllers } of this.modules.values()) {
      for (const wrapper of [...providers.values(), ...controllers.values()]) {
        const { metatype, inject, instance } = wrapper as Pick<Wrapper, 'metatype' | 'inject' | 'instance'>;
        yield {
          metatype,
          inject,
          instance,
          isStatic: wrapper.isDependencyTreeStatic() && !wrapper.isTransient,
        };
      }
    }
  }
}

/** What Nest knows of a provider. */
interface Wrapper {
  readonly metatype: unknown;
  /** What a factory asks for; nothing for a class. */
  readonly inject?: unknown;
  readonly instance: unknown;
  readonly isStatic: boolean;
}

type Listener = Readonly<Record<string | symbol, ((leadership: Leadership) => unknown) | undefined>>;

function prototypeOf(metatype: unknown, inject: unknown, instance: unknown): object | undefined {
  // one that Nest keeps may be of another class than its token; one for each request is not there yet
  if (typeof instance === 'object' && instance !== null) {
    return (Object.getPrototypeOf(instance) ?? undefined) as object | undefined;
  }
  const isClass = typeof metatype === 'function' && !Array.isArray(inject);
  return isClass ? (metatype.prototype as object | undefined) : undefined;
}

function refuseSharedJobs(methods: readonly GuardedMethod[]): void {
  const owners = new Map<string, string>();
  for (const { kind, subject, site } of methods) {
    if (kind !== 'once-per-tick') continue;
    const owner = owners.get(subject);
    owners.set(subject, site);
    if (owner === undefined) continue;
    throw new LockConfigurationError(
      `${owner} and ${site} run once per tick as the same job "${subject}", so each would take the other's ticks; give them different names with @OncePerTick({ job: … }).`,
    );
  }
}

/** Two jobs under one key leave each other's runs out, which may be what is wanted. */
function withSharedKeys(methods: readonly GuardedMethod[]): readonly GuardedMethod[] {
  const owners = new Map<string, string>();
  return methods.map((method) => {
    const { kind, subject, site, schedule, warnings } = method;
    if (kind !== 'locked' || !schedule || subject.includes('<') || subject.startsWith('a function'))
      return method;
    const owner = owners.get(subject);
    owners.set(subject, site);
    if (owner === undefined) return method;
    const warning = `${owner} and ${site} are jobs with the same key "${subject}", so one is left out while the other runs; give them different keys unless that is the purpose.`;
    return { ...method, warnings: [...warnings, warning] };
  });
}

function noTicks(site: string, schedule: Schedule['kind'] | undefined): LockConfigurationError {
  const why = schedule ? `is run by a ${schedule}` : 'has no schedule';
  return new LockConfigurationError(
    `@OncePerTick is on ${site}, which ${why}, and only cron jobs have ticks that all replicas agree on; put @Cron on it, or take @Locked or @LeaderOnly.`,
  );
}

function noListener(site: string, kind: GuardKind): LockConfigurationError {
  const decorator = kind === 'on-elected' ? '@OnElected' : '@OnDeposed';
  return new LockConfigurationError(
    `${decorator} is on ${site}, but its class is made anew for each request, so there is no instance to tell; make the class a singleton.`,
  );
}
