import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Get, Injectable, Query } from '@nestjs/common';
import { HealthCheckService, TerminusModule, type HealthCheckResult } from '@nestjs/terminus';
import { LockModule, LockService, memory, systemClock, type LockBackend } from 'nestjs-interlock';
import { postgres } from 'nestjs-interlock/postgres';
import { redis } from 'nestjs-interlock/redis';
import { LockHealthIndicator, LockHealthModule, type LockHealthDetails } from 'nestjs-interlock/terminus';
import { serve, type HttpApp } from '../support/http-app.js';
import { LoopWatch } from '../support/loop-watch.js';
import { PostgresServer } from '../support/postgres-server.js';
import { RedisClusterWorld } from '../support/redis-cluster.js';
import { RedisSentinelWorld } from '../support/redis-sentinel.js';
import { RedisServer } from '../support/redis-server.js';
import { until } from '../support/until.js';

/** Set by the jest project. */
declare const NEST_MAJOR: 11 | 12;

const TIMEOUT_MS = 400;
/** What an answer may take beyond its time-out; what the event loop stood still comes on top. */
const GRACE_MS = 50;

@Injectable()
class Checks {
  constructor(
    readonly health: HealthCheckService,
    readonly locks: LockHealthIndicator,
  ) {}
}

@Controller('health')
class HealthController {
  constructor(private readonly checks: Checks) {}

  @Get()
  check(@Query('probe') probe: 'ping' | 'lock' = 'ping'): Promise<HealthCheckResult> {
    const { health, locks } = this.checks;
    return health.check([() => locks.isHealthy('locks', { timeout: TIMEOUT_MS, maxAge: 0, probe })]);
  }

  @Get('named')
  named(@Query('name') name: string): Promise<HealthCheckResult> {
    return this.checks.health.check([() => this.checks.locks.isHealthy('locks', { locks: name })]);
  }

  @Get('wrong')
  wrong(): Promise<HealthCheckResult> {
    return this.checks.health.check([() => this.checks.locks.isHealthy('locks', { timeout: NaN })]);
  }
}

function app(backend: LockBackend = memory(), name?: string): Promise<HttpApp> {
  return serve({
    imports: [
      LockModule.forRoot({ backend, callTimeout: TIMEOUT_MS, ...(name !== undefined && { name }) }),
      TerminusModule.forRoot({ logger: false }),
      LockHealthModule,
    ],
    controllers: [HealthController],
    providers: [Checks],
  });
}

type Details = LockHealthDetails & { readonly status: string };
interface Answer extends Details {
  readonly http: number;
  /** Of the whole check. */
  readonly overall: string;
}

const watch = new LoopWatch(systemClock);
afterAll(() => watch.stop());

/** Asks over HTTP, and checks that the answer came in time and is none of a broken application. */
async function ask({ get }: HttpApp, path = '/health'): Promise<Answer> {
  const startMs = systemClock.now();
  const { status, body } = await get(path);
  const endMs = systemClock.now();
  const heldUpMs = watch.stolenMs(startMs, endMs);
  expect(endMs - startMs - heldUpMs).toBeLessThan(TIMEOUT_MS + GRACE_MS);
  expect([200, 503]).toContain(status);
  const { status: overall, details } = body as { status: string; details: { locks: Details } };
  return { http: status, overall, ...details.locks };
}

/** What the two lines of Terminus make of locks that work though a server is missing. */
const DEGRADED =
  NEST_MAJOR === 12
    ? { http: 200, overall: 'degraded', status: 'degraded' }
    : { http: 200, overall: 'ok', status: 'up', degraded: true };
const UP = { http: 200, overall: 'ok', status: 'up' };
const DOWN = { http: 503, overall: 'error', status: 'down' };

describe('the health of an application', () => {
  it('is up, with an entry for each server', async () => {
    const started = await app();
    const node = { node: 'memory', role: 'embedded', state: 'up', latencyMs: 0 };
    expect(await ask(started)).toEqual({
      ...UP,
      backend: 'memory',
      latencyMs: expect.any(Number),
      nodes: [node],
    });
    expect(await ask(started, '/health?probe=lock')).toMatchObject(UP);
  });

  it('is that of the lock service by its name, and down in a sentence where there is none', async () => {
    const started = await app(memory(), 'billing');
    expect(await ask(started, '/health/named?name=billing')).toMatchObject(UP);
    expect(await ask(started, '/health/named?name=shipping')).toMatchObject({
      ...DOWN,
      message: expect.stringContaining('shipping'),
    });
  });

  it('is down in a sentence where it is asked wrongly: a probe is no place to throw', async () => {
    const started = await app();
    expect(await ask(started, '/health/wrong')).toMatchObject({
      ...DOWN,
      message: expect.stringContaining('timeout is NaN'),
    });
  });

  it('is down when the locks are shut down', async () => {
    const started = await app();
    await started.app.get(LockService).stop();
    expect(await ask(started)).toMatchObject({ ...DOWN, message: 'The lock service is shut down.' });
  });
});

describe('the health of an application on one Redis server', () => {
  let server: RedisServer;
  let started: HttpApp;

  const begin = async (...settings: string[]): Promise<void> => {
    server = await RedisServer.start(...settings);
    started = await app(redis(server.url));
  };

  afterEach(() => server.stop());

  it('is up, with its role, version and latency', async () => {
    await begin();
    const node = {
      node: server.address,
      role: 'primary',
      state: 'up',
      latencyMs: expect.any(Number),
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    };
    expect(await ask(started)).toMatchObject({ ...UP, backend: 'redis', nodes: [node] });
    expect(await ask(started, '/health?probe=lock')).toMatchObject(UP);
  });

  it('is down while it is frozen, and up again after that', async () => {
    await begin();
    server.freeze();
    for (const path of ['/health', '/health?probe=lock']) {
      expect(await ask(started, path)).toMatchObject({
        ...DOWN,
        nodes: [{ node: server.address, state: 'down', error: expect.stringMatching(/no answer within/) }],
      });
    }
    server.thaw();
    await until(async () => (await ask(started)).status === 'up', 'it is up again');
  });

  it('is down when it is dead, and says how', async () => {
    await begin();
    await server.kill();
    await until(async () => /ECONNREFUSED/.test((await ask(started)).message ?? ''), 'it says so');
    expect(await ask(started)).toMatchObject({ ...DOWN, nodes: [{ state: 'down' }] });
    await server.restart();
    await until(async () => (await ask(started)).status === 'up', 'it is up again');
  });

  it('goes and comes among the events, though nobody probes', async () => {
    await begin();
    const told: string[] = [];
    started.app.get(LockService).events$.subscribe((event) => {
      if (event.type === 'node-down' || event.type === 'node-up') told.push(`${event.type} ${event.node}`);
    });
    await server.kill();
    await until(() => told.length === 1, 'it is down', 10_000);
    await server.restart();
    await until(() => told.length === 2, 'it is up again', 20_000);
    expect(told).toEqual([`node-down ${server.address}`, `node-up ${server.address}`]);
  }, 60_000);

  it('is down when the password is wrong', async () => {
    await begin();
    await server.call('CONFIG', 'SET', 'requirepass', 'pa55w0rd');
    // our connections go; that of the command as well, so it gets no answer
    const clients = new Set(String(await adminCall(server, 'CLIENT', 'LIST')).match(/(?<=addr=)\S+/g));
    for (const address of clients) await adminCall(server, 'CLIENT', 'KILL', 'ADDR', address).catch(() => 0);
    await until(async () => (await ask(started)).status === 'down', 'it is noticed');
    const answer = await ask(started);
    expect(answer).toMatchObject(DOWN);
    expect(answer.message).toMatch(/it wants a password|NOAUTH/);
    expect(answer.message).not.toContain('pa55w0rd');
  });

  it('is down while it is loading its data', async () => {
    await begin('--enable-debug-command', 'yes');
    for (let key = 0; key < 300; key++) await server.call('SET', `filler:${key}`, 'x');
    await server.call('SAVE');
    await server.call(
      'CONFIG',
      'SET',
      'key-load-delay',
      '10000',
      'loading-process-events-interval-bytes',
      '1024',
    );
    const reload = server.call('DEBUG', 'RELOAD').catch(() => undefined);
    await until(async () => /loading/.test((await ask(started)).message ?? ''), 'it is loading');
    expect(await ask(started)).toMatchObject(DOWN);
    await reload;
    await until(async () => (await ask(started)).status === 'up', 'it is up again', 20_000);
  });

  it('is down when it has become a replica, which takes no writes', async () => {
    await begin();
    await server.call('REPLICAOF', '127.0.0.1', 1);
    for (const path of ['/health', '/health?probe=lock']) {
      expect(await ask(started, path)).toMatchObject({
        ...DOWN,
        nodes: [{ role: 'replica', state: 'down', error: expect.stringContaining('takes no writes') }],
      });
    }
  });

  it('is down for the probe of a lock when the server has no memory for one', async () => {
    await begin('--maxmemory', '1');
    expect(await ask(started)).toMatchObject(UP);
    expect(await ask(started, '/health?probe=lock')).toMatchObject({
      ...DOWN,
      message: expect.stringContaining('OOM'),
    });
  });
});

function adminCall(server: RedisServer, ...command: [string, ...string[]]): Promise<unknown> {
  return server.callAs('pa55w0rd', ...command);
}

describe('the health of an application on PostgreSQL', () => {
  let server: PostgresServer;
  let started: HttpApp;

  beforeAll(async () => {
    server = await PostgresServer.start();
  }, 60_000);
  afterAll(() => server.stop());

  it('is up, down while it is frozen or dead, and up again after that', async () => {
    started = await app(postgres(server.url));
    expect(await ask(started)).toMatchObject({
      ...UP,
      backend: 'postgres',
      nodes: [{ role: 'primary', state: 'up', latencyMs: expect.any(Number), version: expect.any(String) }],
    });
    expect(await ask(started, '/health?probe=lock')).toMatchObject(UP);
    await server.freeze();
    expect(await ask(started)).toMatchObject(DOWN);
    expect(await ask(started, '/health?probe=lock')).toMatchObject(DOWN);
    await server.thaw();
    await until(async () => (await ask(started)).status === 'up', 'it is up again', 20_000);
    await server.kill();
    await until(async () => /ECONNREFUSED/.test((await ask(started)).message ?? ''), 'it says so', 20_000);
    await server.restart();
    await until(async () => (await ask(started)).status === 'up', 'it is up again', 20_000);
  }, 90_000);

  it('is down when the user may not log in any more', async () => {
    await server.query("CREATE ROLE shop SUPERUSER LOGIN PASSWORD 'pa55w0rd'");
    started = await app(postgres(server.urlOf('shop')));
    await server.query('ALTER ROLE shop NOLOGIN');
    await server.terminate();
    await until(async () => (await ask(started)).status === 'down', 'it is noticed');
    expect(await ask(started)).toMatchObject({
      ...DOWN,
      message: expect.stringMatching(/not permitted to log in/),
    });
  }, 60_000);
});

describe('the health of an application under Sentinels', () => {
  let world: RedisSentinelWorld;
  let started: HttpApp;

  beforeAll(async () => {
    world = await RedisSentinelWorld.start();
  }, 60_000);
  afterAll(() => world.stop());
  afterEach(() => world.heal(), 60_000);

  const begin = async (): Promise<void> => {
    started = await app(redis({ sentinels: world.sentinels, name: world.name }));
  };

  it('is up with all of them, and degraded while one of them is frozen or most are dead', async () => {
    await begin();
    expect(await ask(started)).toMatchObject(UP);
    const [replica] = await world.replicas();
    const [guard, second] = world.guards;
    replica!.freeze();
    expect(await ask(started)).toMatchObject({
      ...DEGRADED,
      message: expect.stringContaining(`1 of 6 servers are down. ${replica!.address} (replica): `),
    });
    guard!.freeze();
    expect(await ask(started)).toMatchObject({ ...DEGRADED, message: expect.stringContaining('2 of 6') });
    // the locks are on the primary, and it is well
    await Promise.all([guard!.kill(), second!.kill()]);
    expect(await ask(started)).toMatchObject(DEGRADED);
  }, 60_000);

  it('is down while the primary is frozen, until another one is primary', async () => {
    await begin();
    const primary = await world.primary();
    primary.freeze();
    expect(await ask(started)).toMatchObject(DOWN);
    await until(async () => (await ask(started)).http === 200, 'the next primary', 30_000);
  }, 60_000);
});

describe('the health of an application on a cluster', () => {
  let world: RedisClusterWorld;

  beforeAll(async () => {
    world = await RedisClusterWorld.start();
  }, 60_000);
  afterAll(() => world.stop());

  it('is up with all nodes, degraded while one is frozen, and down when most primaries are dead', async () => {
    const started = await app(redis({ cluster: world.nodes }));
    expect(await ask(started)).toMatchObject(UP);
    const primaries = await world.primaries();
    const replica = await world.replicaOf(primaries[0]!);
    replica.freeze();
    expect(await ask(started)).toMatchObject({ ...DEGRADED, message: expect.stringContaining('(replica)') });
    replica.thaw();
    primaries[0]!.freeze();
    expect(await ask(started)).toMatchObject({ ...DEGRADED, message: expect.stringContaining('(primary)') });
    await Promise.all(primaries.slice(0, 2).map((server) => server.kill()));
    const answer = await ask(started);
    expect(answer).toMatchObject(DOWN);
    expect(answer.nodes).toHaveLength(6);
  }, 60_000);
});
