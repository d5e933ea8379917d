/**
 * One replica of an application with a leader and with jobs, on a Redis, its clock ahead by `skewMs`:
 *
 *     node --import ./scripts/ts.mjs test/support/job-child.ts <url> <prefix> <name> <skewMs>
 *
 * It tells what happens in lines of JSON; times are those of `process.hrtime`, one clock for the whole machine. It resigns
 * when it reads a line, and closes at the end of its input.
 */
import 'reflect-metadata';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const [url = '', prefix = '', name = '', skew = '0'] = process.argv.slice(2);
const skewMs = Number(skew);

// before anything is loaded that looks at a clock
const RealDate = Date;
globalThis.Date = new Proxy(RealDate, {
  construct: (target, args: [], newTarget) =>
    Reflect.construct(
      target,
      args.length === 0 ? [RealDate.now() + skewMs] : args,
      newTarget === globalThis.Date ? target : newTarget,
    ) as Date,
  get: (target, property, receiver) =>
    property === 'now' ? () => RealDate.now() + skewMs : (Reflect.get(target, property, receiver) as unknown),
});

const { Injectable, Module } = await import('@nestjs/common');
const { NestFactory } = await import('@nestjs/core');
const { Cron, ScheduleModule } = await import('@nestjs/schedule');
const { currentLease, LeaderService, LockModule, OnDeposed, OncePerTick, OnElected } =
  await import('../../lib/index.js');
const { redis } = await import('../../lib/backends/redis/index.js');
type Leadership = import('../../lib/index.js').Leadership;

/** What a replica tells. */
export interface ChildLine {
  readonly what: 'ready' | 'elected' | 'over' | 'deposed' | 'ran';
  /** The term, or the key of the tick. */
  readonly of: string;
  readonly atNs: string;
}

function tell(what: ChildLine['what'], of: bigint | string = ''): void {
  const line: ChildLine = { what, of: String(of), atNs: String(process.hrtime.bigint()) };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

@Injectable()
class Jobs {
  @OnElected()
  elected({ term, signal }: Leadership): void {
    tell('elected', term);
    signal.addEventListener('abort', () => tell('over', term));
  }

  @OnDeposed()
  deposed({ term }: Leadership): void {
    tell('deposed', term);
  }

  @Cron('* * * * * *')
  @OncePerTick()
  async tick(): Promise<void> {
    tell('ran', currentLease()?.key ?? '');
    await sleep(10);
  }
}

@Module({
  imports: [
    LockModule.forRoot({
      backend: redis(url),
      prefix,
      identity: name,
      leadership: { ttl: '2s' },
      callTimeout: '300ms',
    }),
    ScheduleModule.forRoot(),
  ],
  providers: [Jobs],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
tell('ready');
const input = createInterface(process.stdin);
input.on('line', () => void app.get(LeaderService).resign());
input.on('close', () => {
  app.close().then(
    () => process.exit(0),
    () => process.exit(1),
  );
});
