import { Inject, Module, type DynamicModule, type OnModuleInit } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import type { LockService } from '../lock.service.js';
import { isLockServiceToken } from '../lock.tokens.js';
import { checkTelemetryOptions, instrumentLocks, type LockTelemetryOptions } from './instrument-locks.js';

const OPTIONS = Symbol('options of LockTelemetryModule');

/**
 * Metrics and spans of all lock services of an application, by OpenTelemetry.
 *
 * @example
 * @Module({ imports: [LockModule.forRoot({ backend }), LockTelemetryModule.forRoot()] })
 */
@Module({})
export class LockTelemetryModule implements OnModuleInit {
  /** @internal */
  constructor(
    @Inject(OPTIONS) private readonly options: LockTelemetryOptions,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
  ) {}

  /** @throws LockConfigurationError at once, when an option is wrong */
  static forRoot(options: LockTelemetryOptions = {}): DynamicModule {
    return {
      module: LockTelemetryModule,
      providers: [{ provide: OPTIONS, useValue: checkTelemetryOptions(options) }],
    };
  }

  /** @internal */
  onModuleInit(): void {
    for (const { providers } of this.modules.values()) {
      for (const [token, { instance }] of providers) {
        if (isLockServiceToken(token) && instance) instrumentLocks(instance as LockService, this.options);
      }
    }
  }
}
