export { LockModule } from './lock.module.js';
export type {
  LockModuleAsyncOptions,
  LockModuleExtras,
  LockModuleOptions,
  LockOptionsFactory,
} from './lock.module.js';
export { LockService } from './lock.service.js';
export { lockServiceToken } from './lock.tokens.js';
export { LockInterceptor, type RequestKey } from './lock.interceptor.js';
export { LockExceptionFilter } from './lock-exception.filter.js';

export { Locked } from './decorators/locked.decorator.js';
export type { Busy as BusyCall, LockedOptions, OnBusy } from './guarded-call.js';
export type { KeySource } from './decorators/method-key.js';
export { KeyParam } from './decorators/key-param.decorator.js';
export { InjectLocks } from './decorators/inject-locks.decorator.js';

export { currentLease } from './core/context.js';
export { systemClock, SystemClock, type Clock, type Timer } from './core/clock.js';
export type { Duration } from './core/duration.js';
export {
  LockConfigurationError,
  LockError,
  LockKeyError,
  LockLostError,
  LockTimeoutError,
  LockUnavailableError,
  NotLeaderError,
  type LossReason,
} from './core/errors.js';
export type { LockEvent } from './core/events.js';
export { FenceGuard, StaleFenceError } from './core/fence-guard.js';
export type { Lease } from './core/lease.js';
export type { Keys } from './core/locks.js';
export type { GuardOptions, LockOptions } from './core/options.js';
export type { LockSettings } from './core/settings.js';

export { memory, MemoryServer, type MemoryOptions } from './backends/memory/index.js';
export { BackendError, type Certainty } from './backends/backend-error.js';
export type {
  BackendContext,
  BackendTraits,
  Busy,
  Claim,
  Grant,
  HolderSnapshot,
  LockBackend,
  LockMode,
  LockSnapshot,
  NodeHealth,
  Place,
  RenewOutcome,
} from './backends/lock-backend.js';
export { isGrant } from './backends/lock-backend.js';
