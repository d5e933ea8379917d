import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Controller, Get, Injectable, Query, type ModuleMetadata } from '@nestjs/common';
import { HealthCheckService, TerminusModule, type HealthCheckResult } from '@nestjs/terminus';
import { LockModule, LockService, memory, systemClock, type LockBackend } from 'nestjs-interlock';
import { redis } from 'nestjs-interlock/redis';
import { LockHealthIndicator, LockHealthModule, type LockHealthDetails } from 'nestjs-interlock/terminus';
import { serve, type HttpApp } from '../support/http-app.js';
import { LoopWatch } from '../support/loop-watch.js';
import { RedisServer } from '../support/redis-server.js';
import {
  SECRET,
  TROUBLED,
  TROUBLES,
  type Scene,
  type Trouble,
  type TroubledServers,
} from '../support/troubled-servers.js';
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

function application(backend: LockBackend, name?: string): ModuleMetadata {
  return {
    imports: [
      LockModule.forRoot({ backend, callTimeout: TIMEOUT_MS, ...(name !== undefined && { name }) }),
      TerminusModule.forRoot({ logger: false }),
      LockHealthModule,
    ],
    controllers: [HealthController],
    providers: [Checks],
  };
}

/** It is closed after the test. */
function app(backend: LockBackend = memory(), name?: string): Promise<HttpApp> {
  return serve(application(backend, name));
}

/** It is closed by whoever opened it. */
function lastingApp(backend: LockBackend): Promise<HttpApp> {
  return serve(application(backend), undefined, undefined, (opened) => opened);
}

type Details = LockHealthDetails & { readonly status: string };
interface Answer extends Details {
  readonly http: number;
  /** Of the whole check. */
  readonly overall: string;
}

/** For a server to come back, and for our connection to it. */
const RECOVERY_LIMIT_MS = 40_000;

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
  expect(JSON.stringify(body)).not.toContain(SECRET);
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
const VERDICTS = { up: UP, degraded: DEGRADED, down: DOWN };

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

describe('the health of an application on one Redis server of its own', () => {
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

  it('is down for the probe of a lock when the server has no memory for one', async () => {
    await begin('--maxmemory', '1');
    expect(await ask(started)).toMatchObject(UP);
    expect(await ask(started, '/health?probe=lock')).toMatchObject({
      ...DOWN,
      message: expect.stringContaining('OOM'),
    });
  });
});

/**
 * The scenes of some servers, one after the other, in one application, which has to come back after each. All servers
 * play side by side: they wait for most of the time.
 */
class Play {
  readonly scenes = new Map<Trouble, Promise<void>>();
  readonly started: Promise<HttpApp>;
  private readonly over: Promise<unknown>;

  /** @param ready when the machine has a hand free to start servers */
  constructor(
    private readonly servers: TroubledServers,
    ready: Promise<unknown>,
  ) {
    this.started = ready.then(() => servers.open()).then(() => lastingApp(servers.backend()));
    this.over = this.started.catch(() => undefined);
    for (const trouble of TROUBLES) {
      const scene = servers.scenes[trouble];
      if (typeof scene === 'string') continue;
      const played = this.over.then(async () => play(scene, await this.started));
      this.over = played.catch(() => undefined);
      this.scenes.set(trouble, played);
    }
  }

  async end(): Promise<void> {
    await this.over;
    const { app: opened } = await this.started;
    await opened.close();
    await this.servers.close();
  }
}

async function play(
  { is, says = /^/, probes = ['ping', 'lock'], begin, end }: Scene,
  to: HttpApp,
): Promise<void> {
  const answers = (): Promise<Answer[]> =>
    Promise.all(probes.map((probe) => ask(to, `/health?probe=${probe}`)));
  // one that is degraded is up as well by Terminus 11, and says why
  const isWell = async (): Promise<boolean> =>
    (await answers()).every(({ status, message }) => status === 'up' && message === undefined);
  await until(isWell, 'it is up before', RECOVERY_LIMIT_MS);
  try {
    await begin();
    const expected = VERDICTS[is];
    const isNoticed = async (): Promise<boolean> => {
      const { http, status, message = '' } = await ask(to);
      return http === expected.http && status === expected.status && says.test(message);
    };
    await until(isNoticed, `it is ${is}, and says ${says}`, 10_000);
    for (const answer of await answers()) expect(answer).toMatchObject(expected);
  } finally {
    await end();
  }
  await until(isWell, 'it is up again', RECOVERY_LIMIT_MS);
}

const plays = new Map<string, Play>();
beforeAll(async () => {
  // whatever is loaded for the first request counts for none of the answers
  const first = await lastingApp(memory());
  await first.get('/health');
  await first.app.close();
  let ready: Promise<unknown> = Promise.resolve();
  for (const servers of TROUBLED) {
    const next = new Play(servers, ready);
    ready = next.started.catch(() => undefined);
    plays.set(servers.title, next);
  }
});
afterAll(async () => {
  await Promise.all([...plays.values()].map((one) => one.end()));
}, 120_000);

describe.each(TROUBLED)('the health of an application on $title', ({ title, scenes }) => {
  const possible = TROUBLES.flatMap((trouble) => {
    const scene = scenes[trouble];
    return typeof scene === 'string' ? [] : [{ is: scene.is, trouble }];
  });

  it.each(possible)(
    'is $is while $trouble',
    async ({ trouble }) => {
      const played = plays.get(title)?.scenes.get(trouble);
      expect(played).toBeDefined();
      await played;
    },
    120_000,
  );
});

describe('the health of an application in trouble', () => {
  it('is tried with every backend there is', async () => {
    await Promise.all([...plays.values()].map(({ started }) => started));
    const folder = join(import.meta.dirname, '../../lib/backends');
    const backends = readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => basename(file) === 'index.ts')
      .map(dirname);
    const tried = new Set(TROUBLED.map((servers) => servers.backend().traits.name));
    expect([...tried].sort()).toEqual(backends.sort());
  });

  it('is tried with every trouble, but for those that cannot be', () => {
    const left = TROUBLED.flatMap(({ title, scenes }) =>
      TROUBLES.filter((trouble) => typeof scenes[trouble] === 'string').map(
        (trouble) => `${title}: ${trouble}`,
      ),
    );
    const alone = 'a server that the locks can do without is frozen';
    expect(left).toEqual([
      ...TROUBLES.slice(1).map((trouble) => `memory: ${trouble}`),
      `one Redis server: ${alone}`,
      'Redis under Sentinels: the server takes no writes',
      'a Redis cluster: the server takes no writes',
      `PostgreSQL: ${alone}`,
      `MariaDB: ${alone}`,
    ]);
  });
});
