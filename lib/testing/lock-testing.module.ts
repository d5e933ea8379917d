import { Module, type DynamicModule, type InjectionToken, type Provider, type Type } from '@nestjs/common';
import { settingsOf } from '../core/settings.js';
import type { LeadershipSettings } from '../leadership/leadership-settings.js';
import { lockParts } from '../lock.parts.js';
import { LockService } from '../lock.service.js';
import { checkName, lockServiceToken } from '../lock.tokens.js';
import { LockDriver, type LockDriverSettings } from './lock-driver.js';
import { passThroughLocks } from './pass-through.js';

type NamedProvider = Exclude<Provider, Type>;

/** What a test module of locks stands for. */
export interface LockTestingOptions {
  /** The `name` of the lock service in whose place it is. Default: the one without a name. */
  readonly name?: string;
  /** How leaders are elected. */
  readonly leadership?: LeadershipSettings;
}

/** Takes the place of `LockModule` in tests: no server, no waiting, no sleeping. Global, as `LockModule` is. */
@Module({})
export class LockTestingModule {
  /**
   * Every lock is granted at once, to everybody: for tests of what is guarded. Decorators and interceptors run
   * the body with a real lease, and nothing is excluded.
   *
   * @example
   * const app = await Test.createTestingModule({
   *   imports: [LockTestingModule.passThrough()],
   *   providers: [Orders],
   * }).compile();
   */
  static passThrough(options: LockTestingOptions = {}): DynamicModule {
    const { name } = options;
    return moduleOf(options, [{ provide: lockServiceToken(name), useFactory: passThroughLocks }]);
  }

  /**
   * Real locks in the hands of the test: for tests of what happens when a key is busy, a lock is lost or the
   * server is down. The {@link LockDriver} does all that; it is a provider of the same module.
   *
   * @throws LockConfigurationError at once, when a setting is wrong
   *
   * @example
   * const app = await Test.createTestingModule({ imports: [LockTestingModule.driven()], providers: [Orders] }).compile();
   * const driver = app.get(LockDriver);
   * await driver.occupy('order:7');
   */
  static driven(options: LockDriverSettings & LockTestingOptions = {}): DynamicModule {
    const { name, leadership: _leadership, ...settings } = options;
    settingsOf(settings);
    const driver = lockDriverToken(name);
    return moduleOf(options, [
      // one for each application that is made of this module
      { provide: driver, useFactory: () => new LockDriver(settings, name) },
      { provide: lockServiceToken(name), inject: [driver], useFactory: ({ locks }: LockDriver) => locks },
    ]);
  }
}

function moduleOf(
  { name, leadership }: LockTestingOptions,
  services: readonly NamedProvider[],
): DynamicModule {
  const alias = { provide: LockService, useExisting: lockServiceToken(name) };
  const providers = name === undefined ? [...services, alias] : services;
  const settings = { provide: Symbol('leadership'), useValue: leadership };
  const parts = lockParts(name, settings.provide);
  return {
    module: LockTestingModule,
    global: true,
    providers: [...providers, settings, ...parts.providers],
    exports: [...providers.map(({ provide }) => provide), ...parts.exports],
  };
}

/** The injection token of the driver of a lock service: the class `LockDriver`, or for one with a name a symbol. */
export function lockDriverToken(name?: string): InjectionToken<LockDriver> {
  return name === undefined ? LockDriver : Symbol.for(`nestjs-interlock.driver:${checkName(name)}`);
}
