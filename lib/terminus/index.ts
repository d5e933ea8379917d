export {
  LockHealthIndicator,
  type LockHealthDetails,
  type LockHealthOptions,
} from './lock-health.indicator.js';
export { LockHealthModule } from './lock-health.module.js';
