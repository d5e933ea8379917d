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
export { LeaderOnly, type LeaderOnlyOptions } from './decorators/leader-only.decorator.js';
export { OnElected } from './decorators/on-elected.decorator.js';
export { OnDeposed } from './decorators/on-deposed.decorator.js';
export type { ElectionListenerOptions } from './decorators/election-listener.js';
export { OncePerTick } from './decorators/once-per-tick.decorator.js';
export type { OncePerTickOptions } from './scheduling/tick-settings.js';
export { Sharded, type ShardedOptions } from './decorators/sharded.decorator.js';
export type { Busy as BusyCall, LockedOptions, OnBusy } from './guarded-call.js';
export type { KeySource } from './decorators/method-key.js';
export { KeyParam } from './decorators/key-param.decorator.js';
export { InjectLocks } from './decorators/inject-locks.decorator.js';

export { LeaderService } from './leadership/leader.service.js';
export type { LeadershipWait, LeaderWrapOptions, OnFollower } from './leadership/leader.service.js';
export { LeaderGuard } from './leadership/leader.guard.js';
export { leaderServiceToken } from './leadership/leader.tokens.js';
export type { ElectionSettings, LeadershipSettings } from './leadership/leadership-settings.js';
export type { Leader } from './leadership/leader-watch.js';
export type { Leadership } from './leadership/term.js';
export { ShardService } from './scheduling/shard.service.js';
export { shardServiceToken } from './scheduling/shard.tokens.js';
export type { ShardOptions } from './scheduling/shard-settings.js';
export type { Shard } from './scheduling/shard.js';
export { LockInventory, type GuardedMethod } from './scheduling/lock-inventory.js';
export type { GuardKind } from './guard-record.js';

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
  type LeaderInfo,
  type LossReason,
} from './core/errors.js';
export type { Census as LockCensus } from './core/census.js';
export type { LockEvent, LockMessage, LockSubject } from './core/events.js';
export type { HealthOptions, LockHealth } from './core/health.js';
export { FenceGuard, StaleFenceError } from './core/fence-guard.js';
export type { Lease } from './core/lease.js';
export type { Keys } from './core/key.js';
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
