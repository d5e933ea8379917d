import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { claimScript, releaseScript, renewScript } from '../../lib/backends/redis/redis-script.js';
import { redis } from '../../lib/backends/redis/index.js';
import { Locks } from '../../lib/core/locks.js';
import { RedisServer } from '../support/redis-server.js';
import { until } from '../support/until.js';
import { nth, Wire, type CommandFilter } from '../support/wire.js';

const isGet: CommandFilter = ([name]) => name === 'get';

describe('a wire', () => {
  let server: RedisServer;
  let wire: Wire;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  beforeEach(async () => {
    wire = await Wire.to(server.port);
  });
  afterEach(() => wire.stop());
  afterAll(() => server.stop());

  describe.each([2, 3] as const)('with RESP%i', (protocol) => {
    let client: Redis;
    beforeEach(async () => {
      client = new Redis({
        port: wire.port,
        protocol,
        lazyConnect: true,
        disconnectTimeout: 50,
        retryStrategy: () => null,
      });
      client.on('error', () => undefined);
      await client.connect();
    });
    afterEach(() => client.disconnect());

    it('delivers byte by byte, late and in order', async () => {
      wire.sliceBytes = 1;
      wire.latencyMs = 20;
      wire.jitterMs = 5;
      const startMs = performance.now();
      const values = Array.from({ length: 5 }, (_, at) => `grüße ${at}`);
      const replies = await Promise.all(values.map((value) => client.echo(value)));
      expect(replies).toEqual(values);
      expect(performance.now() - startMs).toBeGreaterThan(39);
    });

    it('loses the reply to the n-th command, which was carried out, and the connection with it', async () => {
      const lost = wire.loseReply(nth(2, ([name]) => name === 'incr'));
      await client.del('n');
      const counts = await Promise.allSettled([client.incr('n'), client.incr('n'), client.incr('n')]);
      expect(counts.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
      await lost.arrived;
      expect(Number(await server.call('GET', 'n'))).toBeGreaterThanOrEqual(2);
    });

    it('holds a reply, and those after it, until told', async () => {
      await client.set('n', 'held');
      const held = wire.holdReply(isGet);
      const order: string[] = [];
      const replies = [
        client.get('n').then(() => order.push('held')),
        client.ping().then(() => order.push('ping')),
      ];
      await held.arrived;
      await server.call('PING');
      expect(order).toEqual([]);
      held.letGo();
      await Promise.all(replies);
      expect(order).toEqual(['held', 'ping']);
    });

    it('passes messages on, which answer no command', async () => {
      const subscriber = client.duplicate({ lazyConnect: true });
      await subscriber.connect();
      const heard: string[] = [];
      subscriber.on('message', (_channel: string, message: string) => void heard.push(message));
      await subscriber.subscribe('news');
      await server.call('PUBLISH', 'news', 'one');
      await until(() => heard.length === 1, 'the message');
      subscriber.disconnect();
    });

    it('holds everything back in silence, and delivers it afterwards', async () => {
      wire.silent('replies');
      const reply = client.incr('silent');
      await until(async () => (await server.call('GET', 'silent')) !== null, 'the command is carried out');
      wire.audible();
      await reply;
      wire.silent();
      const later = client.incr('silent');
      const before = await server.call('GET', 'silent');
      expect(await server.call('GET', 'silent')).toBe(before);
      wire.audible();
      expect(await later).toBe(Number(before) + 1);
    });
  });

  it('holds messages back that come over a connection of their own, and nothing else', async () => {
    const asking = new Redis({ port: wire.port, protocol: 2 });
    const listening = new Redis({ port: wire.port, protocol: 2 });
    try {
      const heard: string[] = [];
      listening.on('message', (_channel, message) => void heard.push(message));
      await listening.subscribe('news');
      wire.holdMessages();
      await asking.publish('news', 'late');
      await until(() => wire.messagesHeld > 0, 'the message');
      expect(await asking.echo('at once')).toBe('at once');
      expect(heard).toEqual([]);
      wire.letMessagesGo();
      await until(() => heard.length > 0, 'the late message');
      expect(wire.messagesHeld).toBe(0);
    } finally {
      asking.disconnect();
      listening.disconnect();
    }
  });

  it('cuts, refuses and accepts', async () => {
    const client = new Redis({ port: wire.port, retryStrategy: () => 10, maxRetriesPerRequest: null });
    const troubles: string[] = [];
    client.on('error', ({ message }: Error) => void troubles.push(message));
    await client.ping();
    wire.cut();
    await until(() => wire.connections === 0, 'the end of the connection');
    await client.ping();
    await wire.refuse();
    await until(() => troubles.some((message) => message.includes('ECONNREFUSED')), 'the refusal');
    await wire.accept();
    await client.ping();
    client.disconnect();
  });

  describe('under locks', () => {
    let locks: Locks;
    beforeEach(() => {
      locks = new Locks(redis(wire.url), { ttl: 1_500 });
    });
    afterEach(async () => {
      await locks.stop();
      const left = (await server.call('KEYS', '{interlock*')) as string[];
      expect(left.filter((name) => !name.endsWith(':fence') && !name.includes(':gone:'))).toEqual([]);
    });

    const runs =
      ({ sha }: { readonly sha: string }): CommandFilter =>
      ([name, hash]) =>
        name === 'evalsha' && hash === sha;

    it('finds the grant whose reply was lost', async () => {
      await locks.start();
      const lost = wire.loseReply(runs(claimScript));
      const lease = await locks.acquire('a');
      await lost.arrived;
      expect(lease.held).toBe(true);
      expect(await lease.release()).toBe(true);
    });

    it('keeps the lease when the reply to a renewal is lost', async () => {
      const lease = await locks.acquire('a');
      const lost = wire.loseReply(runs(renewScript));
      await lost.arrived;
      const renewed = wire.holdReply(runs(renewScript));
      await renewed.arrived;
      renewed.letGo();
      await until(() => lease.expiresInMs > 1_000, 'the next renewal');
      expect(await lease.release()).toBe(true);
    });

    it('[24] survives a connection that breaks while it begins to listen again', async () => {
      const unhandled: unknown[] = [];
      const note = (reason: unknown): void => void unhandled.push(reason);
      process.on('unhandledRejection', note);
      try {
        await locks.start();
        for (let round = 0; round < 3; round++) {
          const lost = wire.loseReply(([name]) => name === 'subscribe');
          wire.cut();
          await lost.arrived;
          const works = (): Promise<boolean> => locks.using('a', { wait: 50 }, () => true).catch(() => false);
          await until(works, 'it works again');
        }
        expect(unhandled).toEqual([]);
      } finally {
        process.off('unhandledRejection', note);
      }
    });

    it('leaves nothing behind when the reply to a release is lost', async () => {
      const lease = await locks.acquire('a');
      const lost = wire.loseReply(runs(releaseScript));
      await lease.release().catch(() => undefined);
      await lost.arrived;
      await until(async () => (await locks.inspect('a')) === null, 'the key is free');
    });
  });
});
