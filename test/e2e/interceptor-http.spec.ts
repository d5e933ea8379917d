import { describe, expect, test } from '@jest/globals';
import {
  Body,
  Controller,
  Get,
  Injectable,
  Param,
  Post,
  Sse,
  UseGuards,
  UseInterceptors,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type MessageEvent,
  type NestInterceptor,
} from '@nestjs/common';
import { BehaviorSubject, Observable, of, Subject, timeout } from 'rxjs';
import {
  currentLease,
  LockConfigurationError,
  LockExceptionFilter,
  LockInterceptor,
  LockModule,
  LockService,
  type Lease,
} from 'nestjs-interlock';
import { HttpAdapterHost } from '@nestjs/core';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { Gate, until } from '../support/gate.js';
import { serve, type HttpApp } from '../support/http-app.js';

interface Person {
  user?: { id: string };
  headers: Record<string, string>;
}

@Injectable()
class SignedIn implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<Person>();
    const id = request.headers['x-user'];
    if (id !== undefined) request.user = { id };
    return true;
  }
}

/** What the handlers below share with the tests. */
class Stage {
  ran: string[] = [];
  leases: (Lease | undefined)[] = [];
  gate = new Gate<string>();
  stream = new Subject<string>();
  events = new BehaviorSubject<MessageEvent>({ data: 'first' });
}
let stage = new Stage();

function note(what: string): string {
  stage.ran.push(what);
  stage.leases.push(currentLease());
  return what;
}

@Injectable()
class ShortTimeout implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler<unknown>): Observable<unknown> {
    return next.handle().pipe(timeout(20));
  }
}

@Controller()
@UseGuards(SignedIn)
class Orders {
  @Post('params/:id')
  @UseInterceptors(LockInterceptor.on('order:<params.id>', { wait: 0 }))
  async params(@Param('id') id: string): Promise<string> {
    return note(id);
  }

  @Post('body')
  @UseInterceptors(LockInterceptor.on('order:<body.order.id>', { wait: 0 }))
  body(@Body() body: unknown): string {
    return note(JSON.stringify(body));
  }

  @Post('user')
  @UseInterceptors(LockInterceptor.on(['user:<user.id>', 'from:<query.from>'], { wait: 0 }))
  user(): string {
    return note('user');
  }

  @Post('function/:id')
  @UseInterceptors(
    LockInterceptor.on(
      (context) => `${context.getHandler().name}:${context.switchToHttp().getRequest<Person>().user?.id}`,
      { wait: 0 },
    ),
  )
  byFunction(): string {
    return note('function');
  }

  @Post('no-key')
  @UseInterceptors(LockInterceptor.on(() => undefined as never))
  noKey(): string {
    return note('no-key');
  }

  @Post('skip')
  @UseInterceptors(LockInterceptor.on('key', { wait: 0, onBusy: 'skip' }))
  skip(): string {
    return note('skip');
  }

  @Post('answer')
  @UseInterceptors(
    LockInterceptor.on('key', {
      wait: 0,
      onBusy: ({ error, args }) => ({ busy: error.key, path: (args[0] as { url: string }).url }),
    }),
  )
  answer(): string {
    return note('answer');
  }

  @Post('later')
  @UseInterceptors(LockInterceptor.on('key', { wait: 0, onBusy: async () => of('busy') }))
  later(): string {
    return note('later');
  }

  @Post('throws')
  @UseInterceptors(
    LockInterceptor.on('key', {
      wait: 0,
      onBusy: () => {
        throw new Error('not now');
      },
    }),
  )
  throws(): string {
    return note('throws');
  }

  @Post('slow')
  @UseInterceptors(LockInterceptor.on('slow'))
  async slow(): Promise<string> {
    note('slow');
    return stage.gate.opened;
  }

  @Get('stream')
  @UseInterceptors(LockInterceptor.on('stream'))
  stream(): Observable<string> {
    note('stream');
    return stage.stream;
  }

  @Sse('sse')
  @UseInterceptors(LockInterceptor.on('sse'))
  async sse(): Promise<Observable<MessageEvent>> {
    note('sse');
    return stage.events;
  }

  @Post('cut-off')
  @UseInterceptors(ShortTimeout, LockInterceptor.on('slow', { wait: '10s' }))
  async cutOff(): Promise<string> {
    note('cut-off');
    return stage.gate.opened;
  }

  @Get('cut-off-stream')
  @UseInterceptors(ShortTimeout, LockInterceptor.on('stream'))
  cutOffStream(): Observable<string> {
    note('cut-off-stream');
    return stage.stream;
  }

  @Get('cut-off-unknown')
  @UseInterceptors(ShortTimeout, LockInterceptor.on('stream'))
  cutOffUnknown(): unknown {
    note('cut-off-unknown');
    return stage.stream;
  }

  @Post('again')
  @UseInterceptors(LockInterceptor.on('again', { wait: 0 }))
  async again(): Promise<string> {
    const lease = currentLease();
    await locksOfApp.using('again', { wait: 0 }, (inner) => expect(inner.fence).toBe(lease?.fence));
    return note('again');
  }

  @Post('named')
  @UseInterceptors(LockInterceptor.on('key', { locks: 'billing' }))
  named(): string {
    return note('named');
  }

  @Post('fails')
  @UseInterceptors(LockInterceptor.on('fails'))
  async fails(): Promise<never> {
    note('fails');
    throw new Error('of the handler');
  }
}

let locksOfApp: LockService;

async function start(): Promise<HttpApp & { locks: LockService }> {
  stage = new Stage();
  const served = await serve({ imports: [LockModule.forRoot()], controllers: [Orders] }, (app) =>
    app.useGlobalFilters(new LockExceptionFilter(app.get(HttpAdapterHost))),
  );
  locksOfApp = served.app.get(LockService);
  return { ...served, locks: locksOfApp };
}

const isFree = async (locks: LockService, key: string): Promise<boolean> =>
  (await locks.inspect(key)) === null;

describe('the key', () => {
  test.each([
    ['<params.id>', 'order:7', '/params/7', {}],
    ['<body.order.id>', 'order:7', '/body', { order: { id: 7 } }],
    ['<user.id> of a guard, as one of several', 'user:ann', '/user?from=here', {}],
    ['<query.from>, as the other of several', 'from:here', '/user?from=here', {}],
    ['a function of the context', 'byFunction:ann', '/function/1', {}],
  ])('is made of %s: busy when it is held, and held while the handler runs', async (_, key, path, body) => {
    const { locks, post } = await start();
    const lease = await locks.acquire(key);
    expect((await post(path, body, { 'x-user': 'ann' })).status).toBe(409);
    expect(stage.ran).toEqual([]);
    await lease.release();
    expect((await post(path, body, { 'x-user': 'ann' })).status).toBe(201);
    expect(stage.leases.map((held) => held?.keys.includes(key))).toEqual([true]);
    expect(stage.leases[0]?.held).toBe(false);
    expect(locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
  });

  test('of different values does not exclude', async () => {
    const { locks, post } = await start();
    await locks.acquire('order:7');
    expect((await post('/params/8')).status).toBe(201);
    expect(stage.ran).toEqual(['8']);
  });

  test('keeps values apart that look like a longer key', async () => {
    const { locks, post } = await start();
    await locks.acquire('order:a:b');
    expect((await post('/params/a:b')).status).toBe(201);
  });

  test.each([
    ['a value that the guard has not set', '/user?from=here', {}],
    ['a value that the query has not', '/user', {}],
    ['a body without the object on the path', '/body', {}],
    ['null on the path', '/body', { order: null }],
    ['an object where a value should be', '/body', { order: { id: {} } }],
    ['an empty text', '/body', { order: { id: '' } }],
    ['a key function that returns none', '/no-key', {}],
  ])('cannot be made of %s, so nothing runs and the answer is a 500', async (name, path, body) => {
    const { locks, post } = await start();
    const headers: Record<string, string> = name.includes('guard') ? {} : { 'x-user': 'ann' };
    expect(await post(path, body, headers)).toMatchObject({ status: 500, body: { error: 'LockKeyError' } });
    expect(stage.ran).toEqual([]);
    expect(locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
  });

  test.each([
    ['no text', undefined, 'The key of the interceptor on undefined is undefined; give a text'],
    ['an empty text', '', 'has an empty key'],
    ['an empty list', [], 'has an empty list of keys'],
    ['a list with something else', ['a', 1], 'is 1; give a text'],
    ['no placeholder', 'a:<>', 'is no placeholder'],
  ])('that is %s is refused where it is written', (_, key, sentence) => {
    const on = () => LockInterceptor.on(key as never);
    expect(on).toThrow(LockConfigurationError);
    expect(on).toThrow(sentence);
  });

  test('and options that are wrong are refused where they are written', () => {
    expect(() => LockInterceptor.on('key', { wait: -1 })).toThrow(
      'The lock on the interceptor on "key" is set up wrongly: wait is -1',
    );
    expect(() => LockInterceptor.on('key', { onBusy: 'wait' as never })).toThrow(
      'onBusy of the lock on the interceptor on "key" is "wait"; give \'throw\', \'skip\' or a function.',
    );
  });
});

describe('a busy key', () => {
  test.each([
    ['skip: an empty answer', '/skip', { status: 201, body: '' }],
    ['a function: what it returns', '/answer', { status: 201, body: { busy: 'key', path: '/answer' } }],
    [
      'a function that returns a Promise of an Observable: what that emits',
      '/later',
      { status: 201, body: 'busy' },
    ],
    ['a function that throws: its error', '/throws', { status: 500 }],
  ])('%s', async (_, path, answer) => {
    const { locks, post } = await start();
    const lease = await locks.acquire('key');
    expect(await post(path)).toMatchObject(answer);
    expect(stage.ran).toEqual([]);
    await lease.release();
    expect(await post(path)).toMatchObject({ status: 201, body: path.slice(1) });
  });

  test('[6] of fifty requests at once, all get in, one at a time', async () => {
    const { locks, post } = await start();
    let inside = 0;
    let most = 0;
    locks.events$.subscribe(({ type }) => {
      if (type === 'acquired') most = Math.max(most, ++inside);
      if (type === 'released') inside--;
    });
    stage.gate.open('done');
    const replies = await Promise.all(Array.from({ length: 50 }, () => post('/slow')));
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([201]));
    expect({ ran: stage.ran.length, most, inside }).toEqual({ ran: 50, most: 1, inside: 0 });
  });
});

describe('while the handler works', () => {
  test('the lock is held until its Promise settles', async () => {
    const { locks, post } = await start();
    const reply = post('/slow');
    await until(() => stage.ran.length === 1);
    expect(await locks.tryAcquire('slow')).toBeNull();
    stage.gate.open('done');
    expect(await reply).toMatchObject({ status: 201, body: 'done' });
    expect(await isFree(locks, 'slow')).toBe(true);
  });

  test('the lock is held until its Observable completes', async () => {
    const { locks, get } = await start();
    const reply = get('/stream');
    await until(() => stage.stream.observed);
    stage.stream.next('first');
    stage.stream.next('last');
    expect(await locks.tryAcquire('stream')).toBeNull();
    stage.stream.complete();
    expect(await reply).toMatchObject({ status: 200, body: 'last' });
    expect(await isFree(locks, 'stream')).toBe(true);
  });

  test('its own error is answered as ever, and frees the lock', async () => {
    const { locks, post } = await start();
    expect(await post('/fails')).toMatchObject({ status: 500, body: { message: 'Internal server error' } });
    expect(stage.ran).toEqual(['fails']);
    expect(await isFree(locks, 'fails')).toBe(true);
  });

  test('[34] it shares the lock with what it calls', async () => {
    const { post } = await start();
    expect(await post('/again')).toMatchObject({ status: 201 });
    expect(stage.ran).toEqual(['again']);
  });
});

describe('a client that is gone', () => {
  test('does not free the lock of a handler that still works', async () => {
    const { locks, url } = await start();
    const client = new AbortController();
    const reply = fetch(`${url}/slow`, { method: 'POST', signal: client.signal }).catch(() => 'gone');
    await until(() => stage.ran.length === 1);
    client.abort();
    expect(await reply).toBe('gone');
    const next = locks.acquire('slow');
    await until(() => locks.gauges.waiting === 1);
    expect(await locks.tryAcquire('slow')).toBeNull();
    stage.gate.open('done');
    await (await next).release();
  });

  test('ends the stream of its events, and their lock', async () => {
    const { locks, url } = await start();
    const client = request(`${url}/sse`).end();
    const [response] = (await once(client, 'response')) as [IncomingMessage];
    expect(await locks.tryAcquire('sse')).toBeNull();
    await once(response, 'data');
    expect(stage.events.observed).toBe(true);
    client.destroy();
    await until(() => isFree(locks, 'sse'));
    expect(stage.events.observed).toBe(false);
  });
});

describe('an interceptor outside that gives up', () => {
  test('does not free the lock while a Promise goes on: nobody else gets in', async () => {
    const { locks, post } = await start();
    expect((await post('/cut-off')).status).toBe(500);
    expect(await locks.tryAcquire('slow')).toBeNull();
    stage.gate.open('done');
    await until(() => isFree(locks, 'slow'));
    expect(stage.leases[0]?.signal.aborted).toBe(false);
  });

  test('frees the lock of an Observable, which it ends', async () => {
    const { locks, get } = await start();
    expect((await get('/cut-off-stream')).status).toBe(500);
    await until(() => isFree(locks, 'stream'));
    expect(stage.stream.observed).toBe(false);
  });

  test('frees the lock of what turns out to be an Observable when that emits', async () => {
    const { locks, get } = await start();
    expect((await get('/cut-off-unknown')).status).toBe(500);
    expect(await locks.tryAcquire('stream')).toBeNull();
    stage.stream.next('first');
    await until(() => isFree(locks, 'stream'));
    expect(stage.stream.observed).toBe(false);
  });

  test('takes those who still wait out of the line, and they never run', async () => {
    const { locks, post } = await start();
    const lease = await locks.acquire('slow');
    expect((await post('/cut-off')).status).toBe(500);
    await until(() => locks.gauges.waiting === 0);
    await lease.release();
    expect(await isFree(locks, 'slow')).toBe(true);
    expect(stage.ran).toEqual([]);
  });
});

describe('[56] without a lock service', () => {
  test('a handler does not run, whatever module there is', async () => {
    stage = new Stage();
    const bare = await serve({ controllers: [Orders] });
    expect((await bare.post('/params/1')).status).toBe(500);
    const other = await start();
    expect((await other.post('/named')).status).toBe(500);
    expect(stage.ran).toEqual([]);
  });

  test('nor when something else is provided in its place', async () => {
    stage = new Stage();
    const { post } = await serve(
      { imports: [LockModule.forRoot()], controllers: [Orders] },
      () => undefined,
      (builder) => builder.overrideProvider(LockService).useValue({}),
    );
    // the class is an alias: guards go by lockServiceToken(), so the real locks are still there
    expect((await post('/params/1')).status).toBe(201);
  });
});
