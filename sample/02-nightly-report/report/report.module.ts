import { Module, type DynamicModule } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { LockModule, type LockBackend } from 'nestjs-interlock';
import { Diary } from './happening.js';
import { Jobs } from './jobs.service.js';

export interface ReportOptions {
  readonly name: string;
  readonly prefix: string;
  readonly backend: LockBackend;
  readonly diary: Diary;
}

@Module({})
export class ReportModule {
  static register({ name, prefix, backend, diary }: ReportOptions): DynamicModule {
    return {
      module: ReportModule,
      imports: [
        LockModule.forRoot({
          backend,
          prefix,
          identity: name,
          callTimeout: '300ms',
          shutdownTimeout: '1s',
          // short, so that there is something to see; the default is 15 s
          leadership: { ttl: '1s' },
        }),
        ScheduleModule.forRoot(),
      ],
      providers: [Jobs, { provide: Diary, useValue: diary }],
    };
  }
}
