import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { Cluster, Redis } from 'ioredis';
import { redis } from '../../lib/backends/redis/index.js';
import { ManualClock } from '../../lib/testing/manual-clock.js';
import { messagesShareAConnection } from '../support/ioredis-line.js';
import { busy, failureOf, granted, listenTo, RedisTrial, until } from '../support/redis-trial.js';
import { Wire } from '../support/wire.js';

describe('the clients that locks on Redis work with', () => {
  let trial: RedisTrial;
  const own: (Redis | Cluster)[] = [];
  beforeAll(async () => {
    trial = await RedisTrial.open();
  });
  afterEach(async () => {
    await trial.clear();
    for (const client of own.splice(0)) client.disconnect();
  });
  afterAll(() => trial.close());

  const client = (options: object = {}): Redis => {
    const made = new Redis({ port: trial.server.port, ...options });
    own.push(made);
    return made;
  };
  const cluster = (nodes: object[], options: object): Cluster => {
    const made = new Cluster(nodes, options);
    own.push(made);
    return made;
  };

  const cases = [
    { what: 'a URL', target: () => redis(trial.server.url) },
    { what: 'options', target: () => redis({ host: '127.0.0.1', port: trial.server.port }) },
    { what: 'a URL and options', target: () => redis(trial.server.url, { db: 3 }) },
    { what: 'a client that is connecting', target: () => redis(client()) },
    { what: 'a client that connects lazily', target: () => redis(client({ lazyConnect: true })) },
    { what: 'a client with a key prefix', target: () => redis(client({ keyPrefix: 'app:' })) },
    {
      what: 'a client that hands numbers over as strings',
      target: () => redis(client({ stringNumbers: true })),
    },
    {
      what: 'a client that pipelines by itself',
      target: () => redis(client({ enableAutoPipelining: true })),
    },
    { what: 'a client without an offline queue', target: () => redis(client({ enableOfflineQueue: false })) },
  ];

  it.each(cases)('include $what', async ({ target }) => {
    const { backend, reports } = await trial.connect(target());
    for (const mode of ['exclusive', 'shared', 'permits'] as const) {
      const grant = await granted(backend, trial.claim({ mode }));
      const place = await busy(backend, trial.claim({ mode: 'exclusive', queue: true }));
      expect(place.busy).toEqual({ holder: grant.claim.owner, expiresInMs: expect.any(Number), ahead: 0 });
      const ear = listenTo(place);
      expect(await backend.renew([grant])).toEqual(['renewed']);
      expect(await backend.inspect('trial:key')).toMatchObject({
        mode,
        holders: [{ fence: grant.fence }],
        waiting: 1,
      });
      expect(await backend.release(grant)).toBe('released');
      await until(() => ear.hints === 1, 'the hint');
      const next = await place.retry();
      expect(next).toMatchObject({ fence: expect.any(BigInt) });
      expect(await backend.evict('trial:key')).toBe(true);
    }
    expect(await backend.nodes()).toEqual([
      {
        node: expect.stringMatching(/^(127\.0\.0\.1|localhost):\d+$/),
        role: 'primary',
        state: 'up',
        latencyMs: expect.any(Number),
        version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      },
    ]);
    expect(reports).toEqual([]);
  });

  it('stay open, and without a listener of ours, when they were handed in', async () => {
    const mine = client();
    const events = ['ready', 'close', 'error', 'end', 'message'] as const;
    const count = (): number[] => events.map((event) => mine.listenerCount(event));
    await mine.ping();
    const before = count();
    const { backend } = await trial.connect(redis(mine));
    await backend.stop();
    expect(mine.status).toBe('ready');
    expect(await mine.ping()).toBe('PONG');
    expect(count()).toEqual(before);
  });

  it('are left without a listener of ours when the start was given up, also after a late answer', async () => {
    await using wire = await Wire.to(trial.server.port);
    const mine = client({ port: wire.port, disconnectTimeout: 50 });
    await mine.ping();
    const events = ['ready', 'close', 'error', 'end', 'message'] as const;
    const count = (): number[] => events.map((event) => mine.listenerCount(event));
    const before = count();
    const clock = new ManualClock();
    let isSubscribing = false;
    wire.loseReply(([name]) => {
      if (name !== 'subscribe') return false;
      isSubscribing = true;
      wire.silent('replies');
      return false;
    });
    const context = { clock, identity: 'trial', doubt: () => undefined, report: () => undefined };
    const failed = failureOf(redis(mine).start(context));
    await until(() => isSubscribing, 'the subscription');
    await clock.advance(5_000);
    wire.audible();
    expect((await failed).message).toContain('no answer within 5000 ms');
    await mine.ping();
    expect(count()).toEqual(before);
    expect(clock.pendingTimers).toBe(0);
    mine.disconnect();
  });

  describe('are left without a listener of ours when the start was given up while they were connecting', () => {
    /** Connects at once, and is never answered. */
    const silence = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
    });
    const sockets = new Set<Socket>();
    beforeAll(async () => {
      silence.listen(0, '127.0.0.1');
      await once(silence, 'listening');
    });
    afterAll(() => {
      for (const socket of sockets) socket.destroy();
      silence.close();
    });
    const brief = { disconnectTimeout: 50 };
    const port = (): number => (silence.address() as AddressInfo).port;
    const cases = [
      { what: 'a client', status: 'connect', make: () => client({ port: port(), ...brief }) },
      {
        what: 'a client that connects lazily',
        status: 'connect',
        make: () => client({ port: port(), lazyConnect: true, ...brief }),
      },
      {
        what: 'a cluster',
        status: 'connecting',
        make: () =>
          cluster([{ host: '127.0.0.1', port: port() }], { slotsRefreshTimeout: 5_000, redisOptions: brief }),
      },
    ];

    it.each(cases)('$what', async ({ make, status }) => {
      const [mine, untouched] = [make(), make()];
      const listeners = (emitter: Redis | Cluster): object =>
        Object.fromEntries(emitter.eventNames().map((event) => [event, emitter.listenerCount(event)]));
      const clock = new ManualClock();
      const context = { clock, identity: 'trial', doubt: () => undefined, report: () => undefined };
      const failed = failureOf(redis(mine).start(context));
      if (untouched.status === 'wait') untouched.connect().catch(() => undefined);
      await until(() => mine.status === status && untouched.status === status, 'the connections');
      await clock.advance(5_000);
      expect(await failed).toMatchObject({
        certainty: 'denied',
        message: expect.stringContaining('no answer within 5000 ms'),
      });
      expect(listeners(mine)).toEqual(listeners(untouched));
      expect(clock.pendingTimers).toBe(0);
    });
  });

  it('are closed when they were made here, and leave no connection behind', async () => {
    await until(async () => (await connections()) === 1, 'a quiet server');
    const { backend } = await trial.connect();
    // one of ours, or two where messages need a connection of their own
    expect(await connections()).toBe(messagesShareAConnection() ? 2 : 3);
    await backend.stop();
    await until(async () => (await connections()) === 1, 'the end of our connections');
  });

  it('serve two services that were given one backend, until the last of them stops', async () => {
    const shared = redis(trial.server.url);
    await trial.connect(shared);
    const { doubts } = await trial.connect(shared);
    const grant = await granted(shared, trial.claim());
    expect(await shared.evict('trial:key')).toBe(true);
    await until(() => doubts.includes(grant.claim.owner), 'the doubt');
    await shared.stop();
    await granted(shared, trial.claim());
    await shared.stop();
    expect(await failureOf(shared.claim(trial.claim()))).toMatchObject({ certainty: 'denied' });
  });

  it('do not queue a claim for later while they reconnect, though they would by themselves', async () => {
    const mine = client({ retryStrategy: () => 100 });
    mine.on('error', () => undefined);
    const { backend, doubts } = await trial.connect(redis(mine));
    // a connection that listens is of type pubsub, also when it takes commands
    for (const type of ['normal', 'pubsub'])
      await trial.admin.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes');
    await until(() => mine.status !== 'ready', 'the loss of the connection');
    expect(await failureOf(backend.claim(trial.claim()))).toMatchObject({ certainty: 'denied' });
    await until(() => mine.status === 'ready', 'a new connection');
    expect(doubts).toContain(undefined);
    expect(await trial.names()).toEqual([]);
  });

  it('tell in bounded time that a frozen server is down', async () => {
    const { backend } = await trial.connect();
    trial.server.freeze();
    try {
      const [node] = await backend.nodes();
      expect(node).toMatchObject({ state: 'down', role: 'unknown', error: 'no answer within 1000 ms' });
    } finally {
      trial.server.thaw();
    }
  });

  async function connections(): Promise<number> {
    return String(await trial.admin.client('LIST'))
      .trim()
      .split('\n').length;
  }
});
