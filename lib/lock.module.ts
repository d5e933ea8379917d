import {
  Inject,
  Module,
  Optional,
  type DynamicModule,
  type InjectionToken,
  type ModuleMetadata,
  type OptionalFactoryDependency,
  type Provider,
  type Type,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { memory } from './backends/memory/index.js';
import type { LockBackend } from './backends/lock-backend.js';
import { LockConfigurationError, show } from './core/errors.js';
import { settingsOf, type LockSettings } from './core/settings.js';
import { ElectionPlan, type LeadershipSettings } from './leadership/leadership-settings.js';
import { lockParts } from './lock.parts.js';
import { LockService } from './lock.service.js';
import { checkName, isLockServiceToken, lockServiceToken } from './lock.tokens.js';

/** What a lock service is set up with. */
export interface LockModuleOptions extends LockSettings {
  /** Where the locks are kept. Default: `memory()`, inside this process. */
  readonly backend?: LockBackend;
  /** How leaders are elected. */
  readonly leadership?: LeadershipSettings;
}

/** What has to be known before the options of `forRootAsync` are. */
export interface LockModuleExtras {
  /** For a further, independent lock service: `@InjectLocks(name)`, `{ locks: name }`. Default: none. */
  readonly name?: string;
  /** Whether all modules see it without importing it. Default true. */
  readonly global?: boolean;
}

/** Makes the options of a lock service, as a provider. */
export interface LockOptionsFactory {
  /** Called once, at the start of the application; what it rejects with stops that. */
  createLockOptions(): LockModuleOptions | Promise<LockModuleOptions>;
}

/** How the options of a lock service come about; one of `useFactory`, `useClass`, `useExisting`. */
export interface LockModuleAsyncOptions extends LockModuleExtras, Pick<ModuleMetadata, 'imports'> {
  /** The providers that are the arguments of `useFactory`, in their order. Default: none. */
  readonly inject?: (InjectionToken | OptionalFactoryDependency)[];
  /** Makes the options; its arguments are what `inject` names, of which TypeScript knows nothing. */
  readonly useFactory?: (...args: never[]) => LockModuleOptions | Promise<LockModuleOptions>;
  /** A class that makes the options; it is instantiated for that. */
  readonly useClass?: Type<LockOptionsFactory>;
  /** A provider of one of the `imports` that makes the options. */
  readonly useExisting?: InjectionToken<LockOptionsFactory>;
}

const BACKEND_METHODS: readonly Exclude<keyof LockBackend, 'traits'>[] = [
  'start',
  'claim',
  'abandon',
  'renew',
  'release',
  'inspect',
  'list',
  'evict',
  'nodes',
  'stop',
];

const ASYNC_OPTIONS: ReadonlySet<string> = new Set([
  'name',
  'global',
  'imports',
  'inject',
  'useFactory',
  'useClass',
  'useExisting',
]);

/** Provides `LockService` to an application, and to the decorators of this package. */
@Module({})
export class LockModule {
  /** @internal */
  constructor(@Optional() @Inject(ModulesContainer) modules?: ModulesContainer) {
    if (modules) refuseTwins(modules);
  }

  /** @throws LockConfigurationError at once, when an option is wrong */
  static forRoot(options: LockModuleOptions & LockModuleExtras = {}): DynamicModule {
    checkObject(options);
    const { name, global, ...rest } = options;
    checkExtras(name, global);
    checkOptions(rest);
    const optionsToken = optionsTokenOf(name);
    return moduleOf({ name, global }, [{ provide: optionsToken, useValue: rest }], optionsToken);
  }

  /**
   * The same with options that depend on other providers.
   *
   * @example
   * LockModule.forRootAsync({
   *   inject: [ConfigService],
   *   useFactory: (config: ConfigService) => ({ backend: redis(config.getOrThrow('REDIS_URL')) }),
   * })
   */
  static forRootAsync(options: LockModuleAsyncOptions): DynamicModule {
    checkObject(options);
    const { name, global, imports = [] } = options;
    checkExtras(name, global);
    const unknown = Object.keys(options).find((option) => !ASYNC_OPTIONS.has(option));
    if (unknown !== undefined) {
      throw new LockConfigurationError(
        `LockModule.forRootAsync has no option ${show(unknown)}; there are ${[...ASYNC_OPTIONS].join(', ')}. Settings like ttl belong into what the factory returns.`,
      );
    }
    const optionsToken = optionsTokenOf(name);
    return { ...moduleOf({ name, global }, optionsProviders(options, optionsToken), optionsToken), imports };
  }
}

function moduleOf(
  { name, global = true }: { name?: string | undefined; global?: boolean | undefined },
  options: Provider[],
  optionsToken: symbol,
): DynamicModule {
  const token = lockServiceToken(name);
  const service: Provider = {
    provide: token,
    inject: [optionsToken],
    useFactory: (given: LockModuleOptions) => makeService(given, name),
  };
  const leadershipToken = Symbol(`leadership of ${String(token)}`);
  const leadership: Provider = {
    provide: leadershipToken,
    inject: [optionsToken],
    useFactory: (given: LockModuleOptions) => given.leadership,
  };
  const alias: Provider[] = name === undefined ? [{ provide: LockService, useExisting: token }] : [];
  const parts = lockParts(name, leadershipToken);
  return {
    module: LockModule,
    global,
    providers: [...options, service, ...alias, leadership, ...parts.providers],
    exports: [token, ...(name === undefined ? [LockService] : []), ...parts.exports],
  };
}

function optionsTokenOf(name: string | undefined): symbol {
  return Symbol(`options of ${String(lockServiceToken(name))}`);
}

function optionsProviders(options: LockModuleAsyncOptions, token: symbol): Provider[] {
  const { useFactory, useClass, useExisting, inject = [] } = options;
  const given = [useFactory, useClass, useExisting].filter((way) => way !== undefined);
  if (given.length !== 1) {
    throw new LockConfigurationError(
      `LockModule.forRootAsync was given ${given.length} of useFactory, useClass and useExisting; give exactly one.`,
    );
  }
  if (useFactory)
    return [{ provide: token, inject, useFactory: useFactory as (...args: unknown[]) => unknown }];
  const factory = useClass ?? (useExisting as InjectionToken<LockOptionsFactory>);
  const made: Provider = {
    provide: token,
    inject: [factory],
    useFactory: (maker: LockOptionsFactory) => maker.createLockOptions(),
  };
  return useClass ? [made, useClass] : [made];
}

function checkObject(options: unknown): void {
  if (typeof options === 'object' && options !== null && !Array.isArray(options)) return;
  throw new LockConfigurationError(`The options of LockModule are ${show(options)}; give an object.`);
}

function checkExtras(name: string | undefined, global: unknown): void {
  if (name !== undefined) checkName(name);
  if (global === undefined || typeof global === 'boolean') return;
  throw new LockConfigurationError(`global is ${show(global)}; give true or false.`);
}

/** @throws LockConfigurationError when an option is wrong */
function checkOptions(options: LockModuleOptions): void {
  checkObject(options);
  const misplaced = ['name', 'global'].find((extra) => extra in options);
  if (misplaced !== undefined) {
    throw new LockConfigurationError(
      `${misplaced} has to be known before the factory runs; give it to LockModule.forRootAsync beside the factory.`,
    );
  }
  const { backend, leadership, ...settings } = options;
  const { identity } = settingsOf(settings);
  if (leadership !== undefined) new ElectionPlan(leadership, identity);
  if (backend === undefined) return;
  const isBackend = typeof backend === 'object' && backend !== null;
  const missing = BACKEND_METHODS.find((method) => !isBackend || typeof backend[method] !== 'function');
  if (missing === undefined) return;
  throw new LockConfigurationError(
    `backend is ${show(backend)} without ${missing}(); give memory(), redis(…), or another LockBackend.`,
  );
}

/** @throws LockConfigurationError when an option is wrong */
function makeService(options: LockModuleOptions, name: string | undefined): LockService {
  checkOptions(options);
  const { backend = memory(), leadership: _leadership, ...settings } = options;
  return new LockService(backend, settings, name);
}

/** Of two services by one name that all modules see, nobody could say which one a class gets. */
function refuseTwins(modules: ModulesContainer): void {
  const owners = new Map<unknown, string>();
  for (const { metatype, isGlobal, providers } of modules.values()) {
    if (!isGlobal) continue;
    for (const token of providers.keys()) {
      if (!isLockServiceToken(token)) continue;
      const owner = owners.get(token);
      owners.set(token, metatype.name);
      if (owner === undefined) continue;
      throw new LockConfigurationError(
        `Two global modules (${owner} and ${metatype.name}) provide ${token.description}; import one of them, once, or give them different names. To replace the locks of an application in a test, override the provider lockServiceToken().`,
      );
    }
  }
}
