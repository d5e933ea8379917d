import { Module, type DynamicModule, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';

import { LockModule, type LockBackend } from 'nestjs-interlock';
import { DiaryController } from './diary.js';
import { SeatStore } from './seat-store.js';
import { SeatsController } from './seats.controller.js';
import { SeatsService } from './seats.service.js';
import { UnlockedSeatsService } from './unlocked-seats.service.js';

export interface ReplicaOptions {
  readonly name: string;
  /** Separates the locks of this run from everything else on that server. */
  readonly prefix: string;
  readonly backend: LockBackend;
  readonly store: SeatStore;
  readonly locked: boolean;
}

@Module({})
export class ReplicaModule {
  static register({ name, prefix, backend, store, locked }: ReplicaOptions): DynamicModule {
    return {
      module: ReplicaModule,
      imports: [LockModule.forRoot({ backend, prefix, identity: name, shutdownTimeout: '500ms' })],
      controllers: [SeatsController, DiaryController],
      providers: [
        { provide: SeatsService, useClass: locked ? SeatsService : UnlockedSeatsService },
        { provide: SeatStore, useValue: store },
      ],
    };
  }
}

/** One replica: an ordinary Nest application on a free port. */
export async function startReplica(options: ReplicaOptions): Promise<INestApplication> {
  const app = await NestFactory.create(ReplicaModule.register(options), { logger: ['error', 'fatal'] });
  await app.listen(0, '127.0.0.1');
  return app;
}
