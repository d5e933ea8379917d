import { Module } from '@nestjs/common';
import { LockHealthIndicator } from './lock-health.indicator.js';

/** Provides {@link LockHealthIndicator}, for health checks by `@nestjs/terminus` 11 or 12. */
@Module({ providers: [LockHealthIndicator], exports: [LockHealthIndicator] })
export class LockHealthModule {}
