import { describe, expect, it } from '@jest/globals';
import {
  applyDecorators,
  Body,
  Controller,
  Get,
  HttpCode,
  HttpException,
  Injectable,
  Param,
  ParseIntPipe,
  Post,
  Query,
  SetMetadata,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
} from '@nestjs/common';
import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { ClientProxyFactory, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import { WsAdapter } from '@nestjs/platform-ws';
import { Cron, Interval, ScheduleModule, SchedulerRegistry, Timeout } from '@nestjs/schedule';
import { ConnectedSocket, MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { KeyParam, Locked } from 'nestjs-interlock';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { firstValueFrom, from, Observable, of } from 'rxjs';
import { WebSocket } from 'ws';
import { failureOf, guardedApp, Room, turns } from '../support/guarded-app.js';

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function urlOf(app: INestApplication): Promise<string> {
  await app.listen(0, '127.0.0.1');
  const { port } = (app.getHttpServer() as { address(): AddressInfo }).address();
  return `http://127.0.0.1:${port}`;
}

/** What a caller of `fetch` sees. */
async function ask(url: string, body?: unknown): Promise<{ status: number; text: string }> {
  const post = { method: 'POST', headers: { 'content-type': 'application/json' } };
  const response = await fetch(url, body === undefined ? {} : { ...post, body: JSON.stringify(body) });
  return { status: response.status, text: await response.text() };
}

describe('[57] a locked method is registered and guarded, whichever decorator is on top', () => {
  it('as a cron job', async () => {
    const rooms = { above: new Room(), below: new Room() };
    @Injectable()
    class Jobs {
      @Locked('job', { wait: '1s' })
      @Cron('0 0 1 1 *', { name: 'below' })
      below(): Promise<string> {
        return rooms.below.visit('below');
      }

      @Cron('0 0 1 1 *', { name: 'above' })
      @Locked('job', { wait: '1s' })
      above(): Promise<string> {
        return rooms.above.visit('above');
      }
    }
    const { app } = await guardedApp({ imports: [ScheduleModule.forRoot()], providers: [Jobs] });
    const registry = app.get(SchedulerRegistry);
    for (const name of ['above', 'below'] as const) {
      const job = registry.getCronJob(name);
      await Promise.all([job.fireOnTick(), job.fireOnTick()]);
      while (rooms[name].visits.length < 2 || rooms[name].inside > 0) await turns(1);
      expect([name, rooms[name].visits, rooms[name].most]).toEqual([name, [name, name], 1]);
    }
  });

  it('as an interval and as a timeout', async () => {
    const ticks: string[] = [];
    @Injectable()
    class Jobs {
      @Locked('a')
      @Interval('below', 5)
      below(): void {
        ticks.push('below');
      }

      @Interval('above', 5)
      @Locked('b')
      above(): void {
        ticks.push('above');
      }

      @Timeout('once', 5)
      @Locked('c')
      once(): void {
        ticks.push('once');
      }
    }
    const { app, events } = await guardedApp({ imports: [ScheduleModule.forRoot()], providers: [Jobs] });
    const registry = app.get(SchedulerRegistry);
    expect(registry.getIntervals().sort()).toEqual(['above', 'below']);
    while (new Set(ticks).size < 3) await turns(1);
    expect(ticks.filter((tick) => tick === 'once')).toHaveLength(1);
    for (const name of registry.getIntervals()) registry.deleteInterval(name);
    await turns();
    expect(events.filter(({ type }) => type === 'acquired')).toHaveLength(ticks.length);
  });

  it('as an HTTP handler, with its parameters, pipes, guards and status', async () => {
    const room = new Room();
    const guarded: unknown[] = [];
    class Watch implements CanActivate {
      canActivate(context: ExecutionContext): boolean {
        guarded.push(Reflect.getMetadata('role', context.getHandler()));
        return true;
      }
    }
    @Controller('seats')
    class Seats {
      @Locked('seat:<id>')
      @Get('below/:id')
      below(@Param('id', ParseIntPipe) id: number, @Query('who') who: string): Promise<string> {
        return room.visit(`${typeof id} ${id} ${who}`);
      }

      @SetMetadata('role', 'seller')
      @UseGuards(Watch)
      @Post('above/:id')
      @HttpCode(202)
      @Locked('seat:<order.seat>:<id>')
      above(@Body() order: { seat: string }, @Param('id') id: string): Promise<object> {
        return room.visit({ ...order, id });
      }
    }
    const { app, events } = await guardedApp({ controllers: [Seats] });
    const url = await urlOf(app);
    const below = ['a', 'b', 'c'].map((who) => ask(`${url}/seats/below/7?who=${who}`));
    const answers = await Promise.all(below);
    expect(answers).toEqual(['a', 'b', 'c'].map((who) => ({ status: 200, text: `number 7 ${who}` })));
    expect(room.most).toBe(1);
    const above = [1, 2].map(() => ask(`${url}/seats/above/7`, { seat: '12' }));
    expect(await Promise.all(above)).toEqual(Array(2).fill({ status: 202, text: '{"seat":"12","id":"7"}' }));
    expect([room.most, guarded]).toEqual([1, ['seller', 'seller']]);
    // pipes come before the lock
    expect(await ask(`${url}/seats/below/x`)).toMatchObject({ status: 400 });
    const keys = events.flatMap((event) => (event.type === 'acquired' ? [event.key] : []));
    expect(keys).toEqual(['seat:7', 'seat:7', 'seat:7', 'seat:12:7', 'seat:12:7']);
  });

  it('[7] as an HTTP handler, whose errors keep their status', async () => {
    @Controller()
    class Seats {
      @Locked('k', { wait: 0 })
      @Get('teapot')
      teapot(): string {
        throw new HttpException('short and stout', 418);
      }

      @Get('skip')
      @Locked('k', { wait: 0, onBusy: 'skip' })
      skip(): string {
        return 'in';
      }

      @Get('answer')
      @Locked('k', { wait: 0, onBusy: ({ error }) => ({ busy: error.key }) })
      answer(): unknown {
        return 'in';
      }

      @Get('refuse')
      @Locked('k', {
        wait: 0,
        onBusy: () => {
          throw new HttpException('busy', 409);
        },
      })
      refuse(): unknown {
        return 'in';
      }
    }
    const { app, other } = await guardedApp({ controllers: [Seats] });
    const url = await urlOf(app);
    expect(await ask(`${url}/teapot`)).toMatchObject({ status: 418 });
    expect(await ask(`${url}/skip`)).toEqual({ status: 200, text: 'in' });
    const lease = await other.acquire('k');
    expect(await ask(`${url}/teapot`)).toMatchObject({ status: 500 });
    expect(await ask(`${url}/skip`)).toEqual({ status: 200, text: '' });
    expect(await ask(`${url}/answer`)).toEqual({ status: 200, text: '{"busy":"k"}' });
    expect(await ask(`${url}/refuse`)).toMatchObject({ status: 409 });
    await lease.release();
  });

  it('as an HTTP handler that returns an Observable', async () => {
    const room = new Room();
    @Controller()
    class Seats {
      @Get('declared')
      @Locked('k')
      declared(): Observable<string> {
        return from(room.visit('declared'));
      }

      @Locked('k')
      @Get('undeclared')
      async undeclared(): Promise<Observable<string>> {
        return from(Promise.resolve('undeclared'));
      }

      @Get('skip')
      @Locked('k', { onBusy: 'skip', wait: 0 })
      skip(): Observable<string> {
        return of('in');
      }
    }
    const { app, other } = await guardedApp({ controllers: [Seats] });
    const url = await urlOf(app);
    const answers = await Promise.all([ask(`${url}/declared`), ask(`${url}/declared`)]);
    expect(answers).toEqual(Array(2).fill({ status: 200, text: 'declared' }));
    expect(room.most).toBe(1);
    expect(await ask(`${url}/undeclared`)).toEqual({ status: 200, text: 'undeclared' });
    const lease = await other.acquire('k');
    expect(await ask(`${url}/skip`)).toEqual({ status: 200, text: '' });
    await lease.release();
    expect(await ask(`${url}/skip`)).toEqual({ status: 200, text: 'in' });
  });

  it('as an event listener', async () => {
    const room = new Room();
    @Injectable()
    class Listener {
      @Locked('event:<order.id>')
      @OnEvent('below')
      below(order: { id: number }): Promise<unknown> {
        return room.visit(order.id);
      }

      @OnEvent('above')
      @Locked('event:<order.id>')
      above(order: { id: number }): Promise<unknown> {
        return room.visit(order.id);
      }
    }
    const { app } = await guardedApp({ imports: [EventEmitterModule.forRoot()], providers: [Listener] });
    const emitter = app.get(EventEmitter2);
    const names = ['below', 'above', 'below', 'above'];
    await Promise.all(names.map((name) => emitter.emitAsync(name, { id: 1 })));
    expect([room.visits, room.most]).toEqual([[1, 1, 1, 1], 1]);
  });

  it('as a message handler', async () => {
    const room = new Room();
    @Controller()
    class Orders {
      @Locked('order:<order.id>')
      @MessagePattern('below')
      below(@Payload() order: { id: number }): Promise<unknown> {
        return room.visit(`below ${order.id}`);
      }

      @MessagePattern({ cmd: 'above' })
      @Locked('order:<id>')
      above(@Payload('id') @KeyParam('id') renamed: number): Observable<unknown> {
        return from(room.visit(`above ${renamed}`));
      }
    }
    const port = await freePort();
    const options = { host: '127.0.0.1', port };
    const { app } = await guardedApp(
      { controllers: [Orders] },
      { prepare: (nest) => nest.connectMicroservice({ transport: Transport.TCP, options }) },
    );
    await app.startAllMicroservices();
    const client = ClientProxyFactory.create({ transport: Transport.TCP, options });
    const patterns = ['below', { cmd: 'above' }, 'below', { cmd: 'above' }];
    const sent = patterns.map((pattern) => firstValueFrom(client.send<unknown>(pattern, { id: 1 })));
    expect(await Promise.all(sent)).toEqual(['below 1', 'above 1', 'below 1', 'above 1']);
    expect(room.most).toBe(1);
    expect(await failureOf(firstValueFrom(client.send('below', { id: null })))).toBeDefined();
    expect(room.visits).toHaveLength(4);
    await client.close();
  });

  it('as a WebSocket handler', async () => {
    const room = new Room();
    @WebSocketGateway()
    class Gateway {
      @Locked('seat:<data.seat>')
      @SubscribeMessage('below')
      async below(@MessageBody() data: { seat: string }): Promise<unknown> {
        return { event: 'below', data: await room.visit(data.seat) };
      }

      @SubscribeMessage('above')
      @Locked('seat:<seat>')
      async above(@ConnectedSocket() client: WebSocket, @MessageBody('seat') seat: string): Promise<unknown> {
        return { event: 'above', data: [client.readyState, await room.visit(seat)] };
      }
    }
    const { app } = await guardedApp(
      { providers: [Gateway] },
      { prepare: (nest) => nest.useWebSocketAdapter(new WsAdapter(nest)) },
    );
    const socket = new WebSocket((await urlOf(app)).replace('http', 'ws'));
    await once(socket, 'open');
    const answers: unknown[] = [];
    socket.on('message', (message: Buffer) => answers.push(JSON.parse(message.toString())));
    const names = ['below', 'above', 'below'];
    for (const event of names) socket.send(JSON.stringify({ event, data: { seat: '12' } }));
    while (answers.length < 3) await once(socket, 'message');
    expect(answers).toEqual([
      { event: 'below', data: '12' },
      { event: 'above', data: [WebSocket.OPEN, '12'] },
      { event: 'below', data: '12' },
    ]);
    expect(room.most).toBe(1);
    socket.close();
    await once(socket, 'close');
  });

  it('and the room of these tests does see two of whom no lock keeps apart', async () => {
    const room = new Room();
    await Promise.all([room.visit(1), room.visit(2)]);
    expect(room.most).toBe(2);
  });
});

describe('[57] a locked method looks like the method', () => {
  const Marked = (): MethodDecorator =>
    applyDecorators(SetMetadata('a', 1), SetMetadata(Symbol.for('b'), 'two'), (_target, _key, descriptor) => {
      Object.assign(descriptor.value as object, { plain: 'property' });
    });

  class Seats {
    @Locked('seat:<id>')
    @Marked()
    below(@Param('id') id: string, @Body() _body?: object, _more = 1): string {
      return id;
    }

    @Marked()
    @Locked('seat:<id>')
    above(@Param('id') id: string, @Body() _body?: object, _more = 1): string {
      return id;
    }

    @Marked()
    bare(@Param('id') id: string, @Body() _body?: object, _more = 1): string {
      return id;
    }
  }

  const faceOf = (name: 'below' | 'above' | 'bare'): unknown => {
    const method = Seats.prototype[name];
    const descriptor = Object.getOwnPropertyDescriptor(Seats.prototype, name);
    return {
      length: method.length,
      metadata: (Reflect.getMetadataKeys(method) as unknown[]).map((key): unknown[] => [
        key,
        Reflect.getMetadata(key, method),
      ]),
      own: Object.keys(method),
      plain: (method as { plain?: string }).plain,
      parameters: Object.values(
        Reflect.getMetadata('__routeArguments__', Seats, name) as Record<string, { index: number }>,
      ).map(({ index }) => index),
      types: Reflect.getMetadata('design:paramtypes', Seats.prototype, name) as unknown,
      returns: Reflect.getMetadata('design:returntype', Seats.prototype, name) as unknown,
      flags: { ...descriptor, value: typeof descriptor?.value },
    };
  };

  it('by name, length, metadata, properties, parameters and descriptor', () => {
    expect(faceOf('bare')).toMatchObject({
      length: 2,
      metadata: expect.arrayContaining([
        ['a', 1],
        [Symbol.for('b'), 'two'],
      ]),
      plain: 'property',
      parameters: [1, 0],
    });
    expect(faceOf('below')).toEqual(faceOf('bare'));
    expect(faceOf('above')).toEqual(faceOf('bare'));
    expect([Seats.prototype.below.name, Seats.prototype.above.name]).toEqual(['below', 'above']);
  });
});
