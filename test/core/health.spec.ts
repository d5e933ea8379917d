import { describe, expect, it } from '@jest/globals';
import type { NodeHealth } from '../../lib/backends/lock-backend.js';
import type { HealthOptions, LockHealth } from '../../lib/core/health.js';
import { Locks } from '../../lib/core/locks.js';
import { memory } from '../../lib/backends/memory/index.js';
import { changed, count, setUp, type Replica, type Rig } from '../support/rig.js';

/** A rig whose backend says what the test wants of its servers, and counts how often it is asked. */
function withNodes(nodes: () => Promise<readonly NodeHealth[]>): Rig & Replica & { asked: () => number } {
  let asked = 0;
  const rig = setUp({
    between: (inner) =>
      changed(inner, {
        nodes: () => {
          asked++;
          return nodes();
        },
      }),
  });
  return Object.assign(rig, { asked: () => asked });
}

const up = (node: string, more: Partial<NodeHealth> = {}): NodeHealth => ({
  node,
  role: 'primary',
  state: 'up',
  ...more,
});
const down = (node: string, more: Partial<NodeHealth> = {}): NodeHealth => ({
  ...up(node, { state: 'down', error: 'connection refused' }),
  ...more,
});
const spare = { spare: true, role: 'replica' };

describe('the health of locks', () => {
  it('is up when the backend is, and names its servers', async () => {
    const rig = setUp();
    await rig.locks.start();
    expect(await rig.locks.health()).toEqual({
      status: 'up',
      backend: 'memory',
      latencyMs: 0,
      nodes: [{ node: 'memory', role: 'embedded', state: 'up', latencyMs: 0 }],
    });
  });

  it.each<[string, readonly NodeHealth[], 'up' | 'degraded' | 'down', RegExp | undefined]>([
    ['all are up', [up('a'), up('b'), up('c')], 'up', undefined],
    ['a majority is up', [up('a'), up('b'), down('c')], 'degraded', /^1 of 3 servers are down/],
    ['half is up', [up('a'), down('b')], 'down', /b \(primary\): connection refused/],
    ['a majority is down', [up('a'), down('b'), down('c')], 'down', /b \(primary\).+; c \(primary\)/],
    ['only spare ones are down', [up('a'), down('b', spare), down('c', spare)], 'degraded', /b \(replica\)/],
    ['only spare ones are up', [down('a'), up('b', spare), up('c', spare)], 'down', /a \(primary\)/],
    ['the only one is down', [down('a')], 'down', /^a \(primary\): connection refused\.$/],
    ['there is none', [], 'down', /knows no server/],
  ])('when %s', async (_, nodes, status, error) => {
    const rig = withNodes(() => Promise.resolve(nodes));
    await rig.locks.start();
    const health = await rig.locks.health();
    expect(health).toMatchObject({ status, nodes });
    if (error) expect(health.error).toMatch(error);
    else expect(health).not.toHaveProperty('error');
  });

  it('is down, within the time-out, when the backend never answers', async () => {
    const rig = withNodes(() => new Promise(() => {}));
    await rig.locks.start();
    for (const [timeout, ms] of [
      ['800ms', 800],
      [undefined, 800],
      [50, 50],
    ] as const) {
      const asked = rig.watch(rig.locks.health(timeout === undefined ? {} : { timeout }));
      const startMs = rig.clock.now();
      await rig.clock.advance(1_000);
      expect(asked.value).toMatchObject({
        status: 'down',
        nodes: [],
        error: expect.stringContaining(`${ms} ms`),
      });
      expect(asked.atMs - startMs).toBe(ms);
    }
  });

  it('is down when the backend rejects, throws, or answers rubbish', async () => {
    const answers: (() => Promise<never>)[] = [
      () => Promise.reject(new Error('no idea')),
      () => {
        throw new Error('no idea');
      },
      () => Promise.resolve('fine' as never),
      () => Promise.resolve(['fine'] as never),
      () => Promise.resolve([up('a'), null, 'fine'] as never),
    ];
    for (const answer of answers) {
      const rig = withNodes(answer);
      await rig.locks.start();
      const health = await rig.within(0, rig.locks.health());
      expect(health).toMatchObject({ status: 'down', nodes: [] });
      expect(health.error).toMatch(/no idea|"fine"|an array/);
    }
  });

  it('is down before the start and after the end, without a question to the server', async () => {
    let asked = 0;
    const backend = changed(memory(), { nodes: () => Promise.resolve([up(`${++asked}`)]) });
    const locks = new Locks(backend);
    expect(await locks.health()).toMatchObject({
      status: 'down',
      error: 'The lock service has not started.',
    });
    await locks.start();
    expect(await locks.health()).toMatchObject({ status: 'up' });
    await locks.stop();
    expect(await locks.health()).toMatchObject({ status: 'down', error: 'The lock service is shut down.' });
    expect(asked).toBe(1);
  });

  it.each<[HealthOptions, RegExp]>([
    [{ timeout: 0 }, /timeout is 0/],
    [{ timeout: Infinity }, /timeout is Infinity/],
    [{ maxAge: -1 }, /maxAge is -1/],
    [{ probe: 'all' as 'lock' }, /probe is "all"; give 'ping' or 'lock'/],
    [{ cache: 1 } as HealthOptions, /no option of health "cache"/],
  ])('refuses %j in a sentence', async (options, message) => {
    const rig = setUp();
    await rig.locks.start();
    expect(await rig.failure(0, rig.locks.health(options))).toMatchObject({
      name: 'LockConfigurationError',
      message: expect.stringMatching(message),
    });
  });
});

describe('probes are no load', () => {
  it.each<[string, LockHealth['status'], () => Promise<readonly NodeHealth[]>]>([
    ['is well', 'up', () => Promise.resolve([up('a')])],
    ['refuses', 'down', () => Promise.reject(new Error('connection refused'))],
    ['is silent', 'down', () => new Promise(() => {})],
  ])(
    'a thousand probes a second cause at most one question in each period to a server that %s',
    async (_, status, answer) => {
      const rig = withNodes(async () => {
        await rig.sleep(20);
        return answer();
      });
      await rig.locks.start();
      const probes = [];
      const seconds = 3;
      for (let ms = 0; ms < seconds * 1_000; ms++) {
        probes.push(rig.locks.health({ maxAge: '1s' }));
        await rig.clock.advance(1);
      }
      await rig.clock.advance(1_000);
      const answers = await Promise.all(probes);
      expect(answers.every((found) => found.status === status)).toBe(true);
      expect(rig.asked()).toBeLessThanOrEqual(seconds);
      expect(rig.asked()).toBeGreaterThan(seconds - 2);
    },
    60_000,
  );

  it('those who ask while a question is under way share it, however old an answer may be', async () => {
    const rig = withNodes(async () => {
      await rig.sleep(100);
      return [up('a')];
    });
    await rig.locks.start();
    const probes = [1, 2, 3].map(() => rig.watch(rig.locks.health({ maxAge: 0 })));
    await rig.clock.advance(100);
    expect(probes.map(({ value }) => value?.status)).toEqual(['up', 'up', 'up']);
    expect(rig.asked()).toBe(1);
    rig.watch(rig.locks.health({ maxAge: 0 }));
    await rig.clock.advance(100);
    expect(rig.asked()).toBe(2);
  });

  it('whoever has less time than the one who asked is answered in time', async () => {
    const rig = withNodes(async () => {
      await rig.sleep(500);
      return [up('a')];
    });
    await rig.locks.start();
    const patient = rig.watch(rig.locks.health());
    const hasty = rig.watch(rig.locks.health({ timeout: 100 }));
    await rig.clock.advance(100);
    expect([patient.settled, hasty.value?.status]).toEqual([false, 'down']);
    await rig.clock.advance(400);
    expect(patient.value?.status).toBe('up');
  });
});

describe("the probe 'lock'", () => {
  it('takes a lock and gives it back, once in a period', async () => {
    const rig = setUp({ identity: 'web-1' });
    await rig.locks.start();
    expect(await rig.locks.health({ probe: 'lock' })).toMatchObject({ status: 'up' });
    expect(await rig.locks.health({ probe: 'lock' })).toMatchObject({ status: 'up' });
    expect([count(rig.backend, 'claim'), count(rig.backend, 'release')]).toEqual([1, 1]);
    expect(rig.backend.calls.find(({ method }) => method === 'claim')?.key).toBe('interlock:health:web-1');
  });

  it.each(['before', 'hang', 'rubbish', 'throw', 'after', 'hang-after'] as const)(
    'is down in time when the server answers but takes no locks (%s), and leaves nothing behind',
    async (fault) => {
      const rig = setUp({ plan: { method: 'claim', call: 1, fault } });
      await rig.locks.start();
      const startMs = rig.clock.now();
      const asked = rig.watch(rig.locks.health({ probe: 'lock' }));
      await rig.clock.advance(2_000);
      expect(asked.value).toMatchObject({ status: 'down', nodes: [{ node: 'memory', state: 'up' }] });
      expect(asked.atMs - startMs).toBeLessThanOrEqual(800);
      expect(rig.locks.gauges.held).toBe(0);
      expect((await rig.locks.health({ probe: 'lock', maxAge: 0 })).status).toBe('up');
    },
  );

  it('takes a lock that a probe before it left behind for proof that locks are granted', async () => {
    const rig = setUp({ identity: 'web-1' });
    const left = await rig.locks.acquire('health:web-1');
    expect(await rig.locks.health({ probe: 'lock' })).toMatchObject({ status: 'up' });
    await left.release();
  });
});

describe('a server that goes and comes', () => {
  it('is looked for when something went wrong, until it is up again, and not without a reason', async () => {
    let nodes = [up('a')];
    let report: (error: Error) => void = () => undefined;
    let asked = 0;
    const rig = setUp({
      between: (inner) =>
        changed(inner, {
          start: (context) => {
            report = (error) => context.report(error);
            return inner.start(context);
          },
          nodes: () => {
            asked++;
            return Promise.resolve(nodes);
          },
        }),
    });
    await rig.locks.start();
    await rig.clock.advance(600_000);
    expect(asked).toBe(0);
    nodes = [down('a')];
    for (let time = 0; time < 100; time++) report(new Error('the connection broke'));
    await rig.clock.advance(1_000);
    expect(asked).toBe(1);
    await rig.clock.advance(60_000);
    expect(asked).toBeGreaterThan(4);
    expect(asked).toBeLessThan(9);
    nodes = [up('a')];
    await rig.clock.advance(15_000);
    const told = (): unknown[] => rig.events.filter(({ type }) => type !== 'backend-error');
    expect(told()).toEqual([
      { type: 'node-down', node: 'a', role: 'primary', error: 'connection refused' },
      { type: 'node-up', node: 'a', role: 'primary' },
    ]);
    const soFar = asked;
    await rig.clock.advance(600_000);
    expect(asked).toBe(soFar);
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('is among the events, once each time', async () => {
    let nodes = [up('a'), up('b')];
    const rig = withNodes(() => Promise.resolve(nodes));
    await rig.locks.start();
    const look = (): Promise<unknown> => rig.locks.health({ maxAge: 0 });
    await look();
    nodes = [up('a'), down('b')];
    await look();
    await look();
    nodes = [up('a'), up('b')];
    await look();
    await look();
    expect(rig.events).toEqual([
      { type: 'node-down', node: 'b', role: 'primary', error: 'connection refused' },
      { type: 'node-up', node: 'b', role: 'primary' },
    ]);
  });
});
