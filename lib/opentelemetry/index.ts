export { instrumentLocks, type LockTelemetryOptions } from './instrument-locks.js';
export { LockTelemetryModule } from './lock-telemetry.module.js';
