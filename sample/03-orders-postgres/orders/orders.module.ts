import { Module, type DynamicModule } from '@nestjs/common';
import { LockModule } from 'nestjs-interlock';
import { postgres } from 'nestjs-interlock/postgres';
import type { Pool } from 'pg';
import { OrdersService } from './orders.service.js';
import { POOL, REPLICA } from './orders.tokens.js';

/** One replica: the locks go through the pool that the application has anyway. */
@Module({})
export class OrdersModule {
  static of(replica: string, pool: Pool): DynamicModule {
    return {
      module: OrdersModule,
      imports: [LockModule.forRoot({ identity: replica, backend: postgres(pool) })],
      providers: [OrdersService, { provide: POOL, useValue: pool }, { provide: REPLICA, useValue: replica }],
    };
  }
}
