import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Get, Injectable, Query, type ModuleMetadata } from '@nestjs/common';
import {
  HealthCheckService,
  TerminusModule,
  type HealthCheckResult,
  type HealthIndicatorResult,
} from '@nestjs/terminus';
import { LockModule, LockService, memory, systemClock, type LockBackend } from 'nestjs-interlock';
import { redis } from 'nestjs-interlock/redis';
import {
  LockHealthIndicator,
  LockHealthModule,
  type LockHealthDetails,
  type LockHealthOptions,
} from 'nestjs-interlock/terminus';
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
/** What an answer may take beyond its time-out. */
const GRACE_MS = 50;

const watch = new LoopWatch(systemClock);
afterAll(() => watch.stop());

@Injectable()
class Checks {
  constructor(
    private readonly health: HealthCheckService,
    private readonly locks: LockHealthIndicator,
  ) {}

  check(options: LockHealthOptions): Promise<HealthCheckResult> {
    return this.health.check([() => this.timed(options)]);
  }

  /** Adds by how much the answer is late, but for what the event loop stood still when its time was over. */
  private async timed(options: LockHealthOptions): Promise<HealthIndicatorResult<'locks'>> {
    const startMs = systemClock.now();
    const { locks } = await this.locks.isHealthy('locks', { timeout: TIMEOUT_MS, ...options });
    const endMs = systemClock.now();
    const dueMs = startMs + TIMEOUT_MS;
    const lateMs = endMs <= dueMs ? 0 : endMs - dueMs - watch.stolenMs(dueMs, endMs);
    return { locks: { ...locks, lateMs } };
  }
}

@Controller('health')
class HealthController {
  constructor(private readonly checks: Checks) {}

  @Get()
  check(@Query('probe') probe: 'ping' | 'lock' = 'ping'): Promise<HealthCheckResult> {
    return this.checks.check({ maxAge: 0, probe });
  }

  @Get('named')
  named(@Query('name') name: string): Promise<HealthCheckResult> {
    return this.checks.check({ locks: name });
  }

  @Get('wrong')
  wrong(): Promise<HealthCheckResult> {
    return this.checks.check({ timeout: NaN });
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

/** For a change to be noticed, on a machine that may be busy. */
const LIMIT_MS = 40_000;
const PAUSE_MS = 10;

/** Asks over HTTP, and checks that the answer came in time and is none of a broken application. */
async function ask({ get }: HttpApp, path = '/health'): Promise<Answer> {
  const { status, body } = await get(path);
  expect([200, 503]).toContain(status);
  expect(JSON.stringify(body)).not.toContain(SECRET);
  const { status: overall, details } = body as {
    status: string;
    details: { locks: Details & { lateMs: number } };
  };
  const { lateMs, ...locks } = details.locks;
  expect(lateMs).toBeLessThan(GRACE_MS);
  return { http: status, overall, ...locks };
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
  const isWell = (seen: readonly Answer[]): void => {
    for (const answer of seen) {
      expect(answer).toMatchObject(UP);
      // one that is degraded is up as well by Terminus 11, and says why
      expect(answer.message).toBeUndefined();
    }
  };
  const isExpected = (seen: readonly Answer[]): void => {
    for (const answer of seen) expect(answer).toMatchObject(VERDICTS[is]);
    expect(seen[0]?.message ?? '').toMatch(says);
  };
  await reach(answers, isWell);
  try {
    await begin();
    await reach(answers, isExpected);
  } finally {
    await end();
  }
  await reach(answers, isWell);
}

/** Asks until the answers are as they should be, and fails with what was wrong with the last ones. */
async function reach(
  answers: () => Promise<Answer[]>,
  check: (seen: readonly Answer[]) => void,
): Promise<void> {
  const endMs = performance.now() + LIMIT_MS;
  for (;;) {
    const seen = await answers();
    try {
      return check(seen);
    } catch (error) {
      if (performance.now() > endMs) throw error;
    }
    await sleep(PAUSE_MS);
  }
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
      TROUBLES.flatMap((trouble) => {
        const why = scenes[trouble];
        return typeof why === 'string' ? [`${title}: ${trouble}. But ${why}`] : [];
      }),
    );
    const [, ...all] = TROUBLES;
    const spared = 'a server that the locks can do without is frozen';
    const alone = `${spared}. But there is one server, and the locks need it`;
    const readOnly = 'the server takes no writes';
    const failsOver = `${readOnly}. But what turns a primary into a replica makes another one primary`;
    expect(left).toEqual([
      `MariaDB: ${alone}`,
      `Redis under Sentinels: ${failsOver}`,
      `PostgreSQL: ${alone}`,
      `a Redis cluster: ${failsOver}`,
      `one Redis server: ${alone}`,
      ...all.map((trouble) => `memory: ${trouble}. But the locks are in the process, and there is no server`),
    ]);
  });
});
