import { Module, type DynamicModule } from '@nestjs/common';
import { LockModule, type LockBackend } from 'nestjs-interlock';
import { DiaryController } from './diary.controller.js';
import { ObservabilityModule } from './observability.module.js';
import { SeatStore } from './seat-store.js';
import { SeatsController } from './seats.controller.js';
import { SeatsService } from './seats.service.js';
import { UnlockedSeatsService } from './unlocked-seats.service.js';

export interface ShopOptions {
  /** Of the replica. */
  readonly name: string;
  /** Separates the locks of this run from everything else on that server. */
  readonly prefix: string;
  readonly backend: LockBackend;
  readonly store: SeatStore;
  readonly locked: boolean;
}

@Module({})
export class ShopModule {
  static register({ name, prefix, backend, store, locked }: ShopOptions): DynamicModule {
    return {
      module: ShopModule,
      imports: [
        LockModule.forRoot({ backend, prefix, identity: name, shutdownTimeout: '500ms' }),
        ObservabilityModule.register(),
      ],
      controllers: [SeatsController, DiaryController],
      providers: [
        { provide: SeatsService, useClass: locked ? SeatsService : UnlockedSeatsService },
        { provide: SeatStore, useValue: store },
      ],
    };
  }
}
