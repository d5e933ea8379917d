import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Controller, Get, Injectable, Logger, UseInterceptors } from '@nestjs/common';
import { Cron, ScheduleModule } from '@nestjs/schedule';
import { Locked, LockInterceptor, LockService, memory, type LockEvent } from 'nestjs-interlock';
import { faulty, ManualClock } from 'nestjs-interlock/testing';
import { failureOf, guardedApp, type GuardedApp } from '../support/guarded-app.js';

let logged: string[];

beforeEach(() => {
  logged = [];
  for (const level of ['log', 'warn', 'error', 'debug'] as const) {
    jest.spyOn(Logger.prototype, level).mockImplementation((text: unknown) => {
      logged.push(`${level}: ${String(text)}`);
    });
  }
});

afterEach(() => {
  jest.restoreAllMocks();
});

const skips = ({ events }: GuardedApp): LockEvent[] => events.filter(({ type }) => type === 'skipped');

@Injectable()
class Seats {
  @Locked('seat:<0>', { wait: 0, onBusy: 'skip' })
  async skipping(_id: string): Promise<void> {}

  @Locked('seat:<0>', { wait: 0, onBusy: () => 'taken' })
  async answering(_id: string): Promise<string> {
    return 'sold';
  }

  @Cron('0 0 1 1 *')
  @Locked('seat:1', { onBusy: 'throw' })
  async throwing(): Promise<void> {}
}

@Controller('seats')
class SeatsController {
  @Get(':id')
  @UseInterceptors(LockInterceptor.on('seat:<params.id>', { wait: 0, onBusy: 'skip' }))
  show(): string {
    return 'shown';
  }
}

describe('a call that is skipped', () => {
  it('is among the events with its key and its site, and in the debug log, once', async () => {
    const started = await guardedApp({ providers: [Seats], controllers: [SeatsController] });
    const lease = await started.other.acquire('seat:1');
    logged = [];
    await started.app.get(Seats).skipping('1');
    await started.app.listen(0, '127.0.0.1');
    await (await fetch(`${await started.app.getUrl()}/seats/1`)).text();
    const why = 'it is held by other';
    expect(skips(started)).toEqual([
      { type: 'skipped', key: 'seat:1', site: 'Seats.skipping', why },
      { type: 'skipped', key: 'seat:1', site: 'SeatsController.show', why },
    ]);
    expect(logged.filter((line) => line.includes('skipped'))).toEqual([
      'debug: Seats.skipping was skipped ("seat:1"): it is held by other.',
      'debug: SeatsController.show was skipped ("seat:1"): it is held by other.',
    ]);
    await lease.release();
  });

  it('is not one whose busy key is answered or thrown, not even of a schedule', async () => {
    const started = await guardedApp({ imports: [ScheduleModule.forRoot()], providers: [Seats] });
    const lease = await started.other.acquire('seat:1');
    const seats = started.app.get(Seats);
    expect(await seats.answering('1')).toBe('taken');
    expect(await failureOf(seats.throwing())).toMatchObject({ name: 'LockTimeoutError' });
    expect(skips(started)).toEqual([]);
    await lease.release();
  });
});

describe('the log of a lock service', () => {
  it('says once that something may be left behind, and again when that happens again', async () => {
    const clock = new ManualClock();
    const backend = faulty(memory({ clock }));
    const locks = new LockService(backend, { clock });
    await locks.onModuleInit();
    for (let time = 1; time <= 2; time++) {
      backend.plan = ({ method }) =>
        method === 'claim' ? 'after' : method === 'abandon' ? 'before' : undefined;
      const failure = failureOf(locks.acquire('k', { wait: 0, ttl: '5s' }));
      await clock.advance(4_000);
      expect(await failure).toMatchObject({ name: 'LockUnavailableError' });
      expect(logged).toHaveLength(time);
      expect(logged.at(-1)).toMatch(/^warn: Something of "k" may be left on the lock server \(.+\); it is /);
      backend.plan = [];
      await clock.advance(10_000);
    }
    await locks.stop();
    expect(logged).toHaveLength(2);
  });

  it('says the same trouble of the backend once in half a minute', async () => {
    const clock = new ManualClock();
    const backend = memory({ clock });
    let report: (error: Error) => void = () => undefined;
    const start = backend.start.bind(backend);
    backend.start = (context) => {
      report = (error) => context.report(error);
      return start(context);
    };
    const locks = new LockService(backend, { clock });
    await locks.onModuleInit();
    for (let time = 0; time < 100; time++) {
      report(new Error('the line is dead'));
      await clock.advance(100);
    }
    report(new Error('the door is shut'));
    await clock.advance(30_000);
    report(new Error('the door is shut'));
    await locks.stop();
    expect(logged).toEqual(['warn: the line is dead', 'warn: the door is shut', 'warn: the door is shut']);
  });
});
