import type { INestApplication, ModuleMetadata } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  LeaderService,
  LockModule,
  LockService,
  type LeadershipSettings,
  type LockEvent,
} from 'nestjs-interlock';
import { faulty, ManualClock, type FaultyBackend } from 'nestjs-interlock/testing';
import { memory, MemoryServer } from '../../lib/backends/memory/index.js';

/** One replica of an application with elections and jobs. */
export interface LeaderApp {
  readonly app: INestApplication;
  readonly locks: LockService;
  readonly leaders: LeaderService;
  readonly backend: FaultyBackend;
  readonly clock: ManualClock;
  readonly events: readonly LockEvent[];
}

/** Replicas of one application on one lock server, on a clock that stands still. */
export class LeaderApps {
  clock = new ManualClock(10_000);
  private server = new MemoryServer({ clock: this.clock });
  private readonly open: LeaderApp[] = [];

  async start(
    { imports = [], ...metadata }: ModuleMetadata,
    leadership: LeadershipSettings = {},
    prepare: (app: INestApplication) => unknown = () => undefined,
  ): Promise<LeaderApp> {
    const { clock, server } = this;
    const backend = faulty(memory({ server }));
    const identity = `replica-${this.open.length + 1}`;
    const locks = LockModule.forRoot({ backend, clock, identity, leadership });
    const module = await Test.createTestingModule({ ...metadata, imports: [locks, ...imports] }).compile();
    const app = module.createNestApplication({ logger: false });
    await prepare(app);
    const service = app.get(LockService);
    const events: LockEvent[] = [];
    service.events$.subscribe((event) => void events.push(event));
    await app.init();
    const started = { app, locks: service, leaders: app.get(LeaderService), backend, clock, events };
    this.open.push(started);
    await clock.settle();
    return started;
  }

  async close(): Promise<void> {
    const { clock } = this;
    for (const { app, backend } of this.open.splice(0)) {
      backend.plan = [];
      const closed = app.close().then(() => true);
      while (!(await Promise.race([closed, clock.advance(50).then(() => false)])));
    }
    this.clock = new ManualClock(10_000);
    this.server = new MemoryServer({ clock: this.clock });
  }
}
