export { ManualClock } from './manual-clock.js';
export {
  FAULTS,
  faulty,
  FaultyBackend,
  type BackendCall,
  type BackendMethod,
  type Fault,
  type FaultPlan,
  type FaultyCall,
} from './faulty-backend.js';
export { contractCases, describeLockBackend, type ContractRun } from './contract/contract.js';
export type { ContractCase } from './contract/contract-case.js';
export type { ClaimedTraits, ContractOptions } from './contract/contract-options.js';
export type { TestRunner } from './contract/runner.js';
// The seam, for those who write a backend.
export { BackendError, type Certainty } from '../backends/backend-error.js';
export {
  isGrant,
  type BackendContext,
  type BackendTraits,
  type Busy,
  type Claim,
  type Grant,
  type HolderSnapshot,
  type LockBackend,
  type LockMode,
  type LockSnapshot,
  type NodeHealth,
  type Place,
  type RenewOutcome,
} from '../backends/lock-backend.js';
export { LockDriver, type LockDriverSettings, type Outage } from './lock-driver.js';
export { LockTestingModule, lockDriverToken, type LockTestingOptions } from './lock-testing.module.js';
export { passThroughLocks } from './pass-through.js';
export { provideLocks } from './provide-locks.js';
