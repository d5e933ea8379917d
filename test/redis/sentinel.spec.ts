import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import type { Grant, LockBackend } from '../../lib/backends/lock-backend.js';
import { redis } from '../../lib/backends/redis/index.js';
import { BackendTrial, type Client } from '../support/backend-trial.js';
import { RedisSentinelWorld } from '../support/redis-sentinel.js';
import { RedisServer } from '../support/redis-server.js';
import { busy, failureOf, granted, listenTo, until } from '../support/redis-trial.js';

describe('locks behind Redis Sentinels', () => {
  const trial = new BackendTrial();
  let world: RedisSentinelWorld;
  beforeAll(async () => {
    world = await RedisSentinelWorld.start();
  }, 60_000);
  afterEach(async () => {
    await trial.stopAll();
    await world.heal();
    await (await world.primary()).call('FLUSHALL');
  }, 60_000);
  afterAll(() => world.stop());

  const connect = (more: object = {}): Promise<Client> =>
    trial.start(redis({ sentinels: world.sentinels, name: world.name, ...more }));

  it('knows the primary, the replicas and the Sentinels, also those that are dead', async () => {
    const { backend } = await connect();
    const before = await backend.nodes();
    expect(before.map(({ role, state }) => `${role} ${state}`)).toEqual([
      'primary up',
      'replica up',
      'replica up',
      'sentinel up',
      'sentinel up',
      'sentinel up',
    ]);
    const [replica] = await world.replicas();
    const [, guard] = world.guards;
    await Promise.all([replica!.kill(), guard!.kill()]);
    const after = await backend.nodes();
    expect(after.filter(({ state }) => state === 'down')).toEqual([
      { node: replica!.address, role: 'replica', state: 'down', spare: true, error: expect.any(String) },
      { node: guard!.address, role: 'sentinel', state: 'down', spare: true, error: expect.any(String) },
    ]);
  });

  const targets = [
    { what: 'a client of our own', target: () => redis({ sentinels: world.sentinels, name: world.name }) },
    { what: 'a client of the application', target: () => redis(client({})) },
  ];

  it.each(targets)('goes on after a clean fail-over, with $what', async ({ target }) => {
    const { backend, doubts } = await trial.start(target());
    const holder = await granted(backend, trial.claim());
    const place = await busy(backend, trial.claim({ queue: true }));
    const ear = listenTo(place);
    const before = await world.primary();
    await before.call('WAIT', 2, 1000);
    await world.failOver();
    await until(() => doubts.includes(undefined) && ear.hints > 0, 'the doubt and a hint', 10_000);
    await renewed(backend, holder);
    // it was silent for long, and has lost its place in the line
    await place.retry();
    const { hints } = ear;
    expect(await backend.release(holder)).toBe('released');
    await until(() => ear.hints > hints, 'a hint over the new subscription');
    const next = (await place.retry()) as Grant;
    expect(next.fence).toBeGreaterThan(holder.fence);
  });

  it.each(targets)('goes on after the primary died, with $what', async ({ target }) => {
    const { backend, doubts } = await trial.start(target());
    const holder = await granted(backend, trial.claim());
    const before = await world.primary();
    await before.call('WAIT', 2, 1000);
    await before.kill();
    await until(() => doubts.includes(undefined), 'the doubt', 10_000);
    await renewed(backend, holder);
  });

  it('leaves a primary that was frozen', async () => {
    const { backend } = await connect();
    const holder = await granted(backend, trial.claim());
    const before = await world.primary();
    await before.call('WAIT', 2, 1000);
    before.freeze();
    await world.successorOf(before);
    await renewed(backend, holder);
  });

  it.each(targets)('leaves an old primary that nobody demoted, with $what', async ({ target }) => {
    const { backend } = await trial.start(target());
    const before = await world.primary();
    await before.call('ACL', 'SETUSER', 'default', '-slaveof', '-replicaof');
    try {
      const after = await world.failOver();
      const arrives = async (): Promise<boolean> => {
        const claim = trial.claim({ key: `trial:${performance.now()}` });
        await backend.claim(claim).catch(() => undefined);
        return (await after.call('EXISTS', `{${claim.key}}`)) === 1;
      };
      await until(arrives, 'a claim at the new primary');
      expect((await before.info('replication')).get('role')).toBe('master');
    } finally {
      await before.call('ACL', 'SETUSER', 'default', '+slaveof', '+replicaof');
    }
  });

  it('denies what a demoted primary refuses, and asks the Sentinels anew', async () => {
    await using primary = await RedisServer.start();
    // one that would need another's vote to do anything itself
    const file = [`sentinel monitor lone 127.0.0.1 ${primary.port} 2`];
    await using guard = await RedisServer.launch({ settings: ['--sentinel'], file });
    const sentinels = [{ host: '127.0.0.1', port: guard.port }];
    for (const target of [redis({ sentinels, name: 'lone' }), redis(client({ sentinels, name: 'lone' }))]) {
      const { backend, doubts } = await trial.start(target);
      await primary.call('REPLICAOF', '127.0.0.1', 1);
      const refusal = await failureOf(backend.claim(trial.claim()));
      expect(refusal).toMatchObject({
        certainty: 'denied',
        message: expect.stringContaining('it is a replica, which takes no writes'),
      });
      await primary.call('REPLICAOF', 'NO', 'ONE');
      // nothing but the refusal can have cut the connection
      await until(() => doubts.includes(undefined), 'the doubt after the connection was found again');
      await granted(backend, trial.claim());
      await trial.stopAll();
      await primary.call('FLUSHALL');
    }
  });

  it('says in a sentence that the Sentinels know no such primary', async () => {
    const { certainty, message } = await failureOf(connect({ name: 'nobody' }));
    expect(certainty).toBe('denied');
    expect(message).toMatch(
      /^Redis at nobody \(by the Sentinels 127\.0\.0\.1:\d+, .*\) cannot be used: the Sentinels know no primary of that name: correct `name` \(/,
    );
  });

  it('says in a sentence that no Sentinel is there', async () => {
    const { message } = await failureOf(connect({ sentinels: [{ host: '127.0.0.1', port: 1 }] }));
    expect(message).toContain('cannot be reached (');
    expect(message).toContain('127.0.0.1:1');
  });

  it('says in a sentence what is behind an address that was mistaken for another', async () => {
    const [guard] = world.guards;
    const [server] = world.servers;
    const address = (of: RedisServer | undefined): object => ({ host: '127.0.0.1', port: of!.port });
    expect((await failureOf(trial.start(redis(guard!.url)))).message).toContain(
      'it is a Sentinel; give redis({ sentinels: [address], name }), where name is what it calls the primary',
    );
    expect((await failureOf(connect({ sentinels: [address(server)] }))).message).toContain(
      'it is no Sentinel: give redis() its address without `sentinels`',
    );
    for (const wrong of [guard, server]) {
      expect((await failureOf(trial.start(redis({ cluster: [address(wrong)] })))).message).toContain(
        'it is no node of a cluster: give redis() its address without `cluster`',
      );
    }
    const [replica] = await world.replicas();
    expect((await failureOf(trial.start(redis(replica!.url)))).message).toContain(
      'it is a replica, which takes no writes; give the address of the primary',
    );
  });

  it('works when the first Sentinel is dead, and when it is frozen', async () => {
    const [first] = world.guards;
    await first!.kill();
    const { backend } = await connect();
    await granted(backend, trial.claim());
    await first!.restart();
    first!.freeze();
    const other = await connect();
    await granted(other.backend, trial.claim({ key: 'trial:other' }));
  });

  const clients: Redis[] = [];
  afterEach(() => clients.splice(0).forEach((made) => made.disconnect()));

  function client(options: object): Redis {
    const made = new Redis({ sentinels: world.sentinels, name: world.name, ...options });
    made.on('error', () => undefined);
    clients.push(made);
    return made;
  }

  async function renewed(backend: LockBackend, grant: Grant): Promise<void> {
    const outcome = (): Promise<unknown> =>
      backend.renew([grant]).then(
        ([word]) => word,
        () => 'failed',
      );
    await until(async () => (await outcome()) === 'renewed', 'a renewal', 10_000);
  }
});
