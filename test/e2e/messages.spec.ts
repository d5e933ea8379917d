import { describe, expect, test } from '@jest/globals';
import {
  Controller,
  Injectable,
  UseFilters,
  UseGuards,
  UseInterceptors,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { ClientProxyFactory, MessagePattern, Transport, type ClientProxy } from '@nestjs/microservices';
import { WsAdapter } from '@nestjs/platform-ws';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { createServer } from 'node:net';
import { firstValueFrom, lastValueFrom, Subject, toArray, type Observable } from 'rxjs';
import {
  currentLease,
  LockExceptionFilter,
  LockInterceptor,
  LockModule,
  LockService,
  LockUnavailableError,
} from 'nestjs-interlock';
import { WebSocket } from 'ws';
import { failure } from '../support/failure.js';
import { until } from '../support/gate.js';
import { closeLater, serve } from '../support/http-app.js';

let ran: unknown[] = [];
let numbers = new Subject<number>();

@Injectable()
class SignedIn implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const bearer =
      context.getType() === 'ws'
        ? context.switchToWs().getClient<object>()
        : context.switchToRpc().getContext<object>();
    Object.assign(bearer, { user: { id: 'ann' } });
    return true;
  }
}

function run(data: unknown): string | undefined {
  ran.push(data);
  return currentLease()?.key;
}

@Controller()
@UseGuards(SignedIn)
class OrderMessages {
  @MessagePattern('settle')
  @UseInterceptors(LockInterceptor.on('order:<data.id>', { wait: 0 }))
  async settle(data: unknown): Promise<string | undefined> {
    return run(data);
  }

  @MessagePattern('mine')
  @UseInterceptors(LockInterceptor.on('user:<user.id>', { wait: 0, onBusy: () => 'busy' }))
  mine(data: unknown): string | undefined {
    return run(data);
  }

  @MessagePattern('count')
  @UseInterceptors(LockInterceptor.on('count', { wait: 0 }))
  count(data: unknown): Observable<number> {
    run(data);
    return numbers;
  }

  @MessagePattern('down')
  down(): never {
    throw new LockUnavailableError('of the server');
  }
}

@WebSocketGateway()
@UseGuards(SignedIn)
@UseFilters(LockExceptionFilter)
class OrderSockets {
  @SubscribeMessage('settle')
  @UseInterceptors(LockInterceptor.on('order:<data.id>', { wait: 0 }))
  async settle(@MessageBody() data: unknown) {
    return { event: 'settled', data: run(data) };
  }

  @SubscribeMessage('mine')
  @UseInterceptors(LockInterceptor.on('user:<user.id>', { wait: 0, onBusy: 'skip' }))
  mine(@MessageBody() data: unknown) {
    return { event: 'mine', data: run(data) };
  }

  @SubscribeMessage('ping')
  ping() {
    return { event: 'pong' };
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

async function startRpc(): Promise<{ locks: LockService; client: ClientProxy }> {
  ran = [];
  numbers = new Subject();
  const options = { host: '127.0.0.1', port: await freePort() };
  const { app } = await serve(
    {
      imports: [LockModule.forRoot()],
      controllers: [OrderMessages],
      providers: [{ provide: APP_FILTER, useClass: LockExceptionFilter }],
    },
    async (app) => {
      app.connectMicroservice({ transport: Transport.TCP, options }, { inheritAppConfig: true });
      await app.startAllMicroservices();
    },
  );
  const client = ClientProxyFactory.create({ transport: Transport.TCP, options });
  closeLater({ close: async () => void (await client.close()) });
  return { locks: app.get(LockService), client };
}

describe('a message over TCP', () => {
  test('is handled under the lock of its <data.id>', async () => {
    const { locks, client } = await startRpc();
    expect(await firstValueFrom(client.send('settle', { id: 7 }))).toBe('order:7');
    expect(locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
  });

  test('of a busy key is refused with what the filter says, and nothing runs', async () => {
    const { locks, client } = await startRpc();
    await locks.acquire('order:7');
    expect(await failure(firstValueFrom(client.send('settle', { id: 7 })))).toEqual({
      statusCode: 409,
      error: 'LockTimeoutError',
      message: 'This is in use right now; try again.',
    });
    expect(ran).toEqual([]);
    expect(await firstValueFrom(client.send('settle', { id: 8 }))).toBe('order:8');
  });

  test('without the value is refused, and nothing runs', async () => {
    const { client } = await startRpc();
    for (const data of [{}, { id: null }, 7, 'seven']) {
      expect(await failure(firstValueFrom(client.send('settle', data)))).toMatchObject({
        statusCode: 500,
        error: 'LockKeyError',
      });
    }
    expect(ran).toEqual([]);
  });

  test('can be locked by the user that a guard found; onBusy answers', async () => {
    const { locks, client } = await startRpc();
    const lease = await locks.acquire('user:ann');
    expect(await firstValueFrom(client.send('mine', {}))).toBe('busy');
    expect(ran).toEqual([]);
    await lease.release();
    expect(await firstValueFrom(client.send('mine', {}))).toBe('user:ann');
  });

  test('keeps its lock until the last of many answers', async () => {
    const { locks, client } = await startRpc();
    const answers = lastValueFrom(client.send<number>('count', {}).pipe(toArray()));
    await until(() => numbers.observed);
    numbers.next(1);
    numbers.next(2);
    expect(await locks.tryAcquire('count')).toBeNull();
    numbers.complete();
    expect(await answers).toEqual([1, 2]);
    expect(await locks.inspect('count')).toBeNull();
  });

  test('that fails for want of the lock server says when to come again', async () => {
    const { client } = await startRpc();
    expect(await failure(firstValueFrom(client.send('down', {})))).toEqual({
      statusCode: 503,
      error: 'LockUnavailableError',
      message: 'This cannot be done right now; try again soon.',
      retryAfterSeconds: 1,
    });
  });
});

interface Socket {
  ask(event: string, data?: unknown): void;
  next(): Promise<unknown>;
}

async function startWs(): Promise<{ locks: LockService; socket: Socket }> {
  ran = [];
  const { app, url } = await serve({ imports: [LockModule.forRoot()], providers: [OrderSockets] }, (app) =>
    app.useWebSocketAdapter(new WsAdapter(app)),
  );
  const ws = new WebSocket(url.replace('http', 'ws'));
  const arrived: unknown[] = [];
  ws.on('message', (text: Buffer) => arrived.push(JSON.parse(text.toString())));
  await new Promise((resolve) => {
    ws.once('open', resolve);
  });
  closeLater({ close: async () => ws.terminate() });
  const socket: Socket = {
    ask: (event, data) => ws.send(JSON.stringify({ event, data })),
    async next() {
      await until(() => arrived.length > 0);
      return arrived.shift();
    },
  };
  return { locks: app.get(LockService), socket };
}

describe('a message over a WebSocket', () => {
  test('is handled under the lock of its <data.id>', async () => {
    const { locks, socket } = await startWs();
    socket.ask('settle', { id: 7 });
    expect(await socket.next()).toEqual({ event: 'settled', data: 'order:7' });
    expect(locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
  });

  test('of a busy key is answered by an exception, and nothing runs', async () => {
    const { locks, socket } = await startWs();
    await locks.acquire('order:7');
    socket.ask('settle', { id: 7 });
    expect(await socket.next()).toEqual({
      event: 'exception',
      data: {
        statusCode: 409,
        error: 'LockTimeoutError',
        message: 'This is in use right now; try again.',
      },
    });
    expect(ran).toEqual([]);
  });

  test('without the value is answered by an exception, and nothing runs', async () => {
    const { socket } = await startWs();
    socket.ask('settle', { id: '' });
    expect(await socket.next()).toMatchObject({ event: 'exception', data: { error: 'LockKeyError' } });
    expect(ran).toEqual([]);
  });

  test('can be locked by the user that a guard found; a skipped one is not answered', async () => {
    const { locks, socket } = await startWs();
    const lease = await locks.acquire('user:ann');
    socket.ask('mine');
    socket.ask('ping');
    expect(await socket.next()).toEqual({ event: 'pong' });
    await lease.release();
    socket.ask('mine');
    expect(await socket.next()).toEqual({ event: 'mine', data: 'user:ann' });
  });
});
