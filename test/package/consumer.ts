// Compiled by scripts/pack-smoke.mjs under every module resolution that a user may have; never run.
import { Injectable, Module } from '@nestjs/common';
import { LockModule, LockService, Locked } from 'nestjs-interlock';
import { mysql } from 'nestjs-interlock/mysql';
import { migration, postgres, type PostgresPool } from 'nestjs-interlock/postgres';
import { redis } from 'nestjs-interlock/redis';
import { LockTelemetryModule } from 'nestjs-interlock/opentelemetry';
import { LockHealthIndicator, LockHealthModule } from 'nestjs-interlock/terminus';
import * as testing from 'nestjs-interlock/testing';

@Injectable()
export class Seats {
  constructor(private readonly locks: LockService) {}

  @Locked('seat:<seatId>', { wait: '2s' })
  sell(seatId: string): Promise<string> {
    return Promise.resolve(seatId);
  }

  async byHand(): Promise<number> {
    const lease = await this.locks.tryAcquire('seat:13');
    await lease?.release();
    return this.locks.using(['a', 'b'], (inner) => {
      inner.assertHeld();
      return Promise.resolve(inner.keys.length);
    });
  }
}

@Module({
  imports: [LockModule.forRoot({ backend: redis('redis://localhost:6379') })],
  providers: [Seats],
})
export class AppModule {}

export const elsewhere = [
  LockModule.forRoot({ name: 'url', backend: postgres('postgres://localhost/shop', { schema: 'locks' }) }),
  LockModule.forRoot({ name: 'mysql', backend: mysql('mysql://localhost/shop') }),
  (pool: PostgresPool) => LockModule.forRoot({ name: 'pool', backend: postgres(pool) }),
];

export const sql: string = migration({ schema: 'locks' });

@Module({ imports: [LockHealthModule, LockTelemetryModule.forRoot({ keys: true })] })
export class ObservedModule {
  constructor(private readonly locks: LockHealthIndicator) {}

  async isUp(): Promise<boolean> {
    const { locks } = await this.locks.isHealthy('locks', { timeout: '500ms' });
    return locks.status === 'up';
  }
}

export const names: readonly string[] = Object.keys(testing);
