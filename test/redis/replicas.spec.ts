import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { redis, type RedisLockSettings } from '../../lib/backends/redis/index.js';
import { LockUnavailableError } from '../../lib/core/errors.js';
import { Locks } from '../../lib/core/locks.js';
import { RedisServer } from '../support/redis-server.js';
import { busy, failureOf, granted, RedisTrial, until } from '../support/redis-trial.js';

const NAME = '{trial:key}';
const LIMIT_MS = 60_000;

describe('locks that replicas have to acknowledge', () => {
  let trial: RedisTrial;
  let replica: RedisServer;
  const services: Locks[] = [];
  const own: Redis[] = [];

  beforeAll(async () => {
    trial = await RedisTrial.open('--repl-diskless-sync-delay', '0');
    replica = await RedisServer.start();
    await replica.call('REPLICAOF', '127.0.0.1', trial.server.port);
    await until(() => isFollowing(), 'the replica to follow', 20_000);
  }, LIMIT_MS);
  afterEach(async () => {
    replica.thaw();
    await trial.admin.config('SET', 'min-replicas-to-write', '0');
    await Promise.all(services.splice(0).map((locks) => locks.stop()));
    await trial.clear();
    for (const client of own.splice(0)) client.disconnect();
  });
  afterAll(async () => {
    await trial.close();
    await replica.stop();
  });

  const one = (settings: RedisLockSettings = {}): ReturnType<typeof redis> =>
    redis(trial.server.url, { replicas: 1, replicaTimeout: '300ms', ...settings });

  async function service(settings: object = {}): Promise<Locks> {
    const locks = new Locks(one(), { prefix: 'trial', ...settings });
    services.push(locks);
    await locks.start();
    return locks;
  }

  async function isFollowing(): Promise<boolean> {
    const info = await trial.admin.info('replication');
    if (!/state=online/.test(info)) return false;
    await trial.admin.set('probe', '', 'PX', 1_000);
    return Number(await trial.admin.call('WAIT', '1', '1000')) === 1;
  }

  const modes = [{ mode: 'exclusive' }, { mode: 'shared' }, { mode: 'permits', of: 2 }] as const;

  it.each(modes)(
    '[46] are on a replica when they are granted, and when they are renewed ($mode)',
    async (wish) => {
      const { backend } = await trial.connect(one());
      const grant = await granted(backend, trial.claim({ ...wish, ttlMs: 5_000 }));
      const name = wish.mode === 'exclusive' ? NAME : `${NAME}:held`;
      expect(await replica.call('EXISTS', name)).toBe(1);
      const longer = { ...grant, claim: { ...grant.claim, ttlMs: 50_000 } };
      expect(await backend.renew([longer])).toEqual(['renewed']);
      expect(Number(await replica.call('PTTL', name))).toBeGreaterThan(40_000);
      expect(await backend.release(grant)).toBe('released');
    },
  );

  it('[46] are not granted while too few acknowledge, by word of how many did', async () => {
    const { backend } = await trial.connect(one());
    replica.freeze();
    const { message, certainty } = await failureOf(backend.claim(trial.claim()));
    expect(certainty).toBe('unknown');
    expect(message).toBe(
      `Redis at ${trial.server.address} granted trial:key, but 0 of 1 replicas acknowledged it within 300 ms, so it does not count.`,
    );
  });

  it('[46] are waited for no longer than the ttl allows', async () => {
    const { backend } = await trial.connect(one({ replicaTimeout: '1m' }));
    replica.freeze();
    const { message } = await failureOf(backend.claim(trial.claim({ ttlMs: 500 })));
    expect(message).toContain('within 100 ms');
  });

  it('[46] that were not acknowledged are taken back, and their callers told', async () => {
    const locks = await service();
    replica.freeze();
    const failure: unknown = await locks.acquire('key', { wait: 0 }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(LockUnavailableError);
    expect(String(failure)).toContain('0 of 1 replicas acknowledged it');
    await until(() => locks.gauges.owed === 0, 'the clean-up');
    const { backend } = await trial.connect();
    await granted(backend, trial.claim());
  });

  it('[46] come to whoever waits as soon as the replicas are back', async () => {
    const locks = await service();
    replica.freeze();
    const waiting = locks.acquire('key', { wait: '30s' });
    await until(async () => (await trial.admin.exists(NAME)) === 1, 'the first try');
    replica.thaw();
    const lease = await waiting;
    expect(await replica.call('EXISTS', NAME)).toBe(1);
    expect(await lease.release()).toBe(true);
  });

  it('[46] are renewed with certainty only when it was acknowledged; a loss is the word of the primary', async () => {
    const { backend } = await trial.connect(one());
    const grants = [
      await granted(backend, trial.claim()),
      await granted(backend, trial.claim({ key: 'trial:lost' })),
    ];
    await trial.admin.del('{trial:lost}');
    replica.freeze();
    expect(await backend.renew(grants)).toEqual(['unknown', 'gone']);
    replica.thaw();
    await until(async () => (await backend.renew(grants))[0] === 'renewed', 'an acknowledged renewal');
  });

  it('[46] are told to be lost in time when renewals are not acknowledged', async () => {
    const locks = await service({ ttl: '1500ms' });
    const lease = await locks.acquire('key', { wait: 0 });
    const startMs = performance.now();
    replica.freeze();
    await until(() => lease.signal.aborted, 'the loss');
    expect(performance.now() - startMs).toBeLessThan(2_500);
    expect(lease.signal.reason).toMatchObject({ reason: 'silent' });
    replica.thaw();
  });

  it('are released, abandoned and looked at without replicas', async () => {
    const { backend } = await trial.connect(one());
    const grant = await granted(backend, trial.claim());
    await busy(backend, trial.claim({ queue: true }));
    replica.freeze();
    expect((await backend.inspect('trial:key'))?.waiting).toBe(1);
    expect(await backend.release(grant)).toBe('released');
    expect(await backend.evict('trial:key')).toBe(false);
  });

  it('[46] are handed on within a process by grants that count as well', async () => {
    const { backend } = await trial.connect(one());
    const first = await granted(backend, trial.claim());
    replica.freeze();
    const released = backend.release(first);
    const next = failureOf(backend.claim(trial.claim()));
    expect(await released).toBe('released');
    expect(await next).toMatchObject({ certainty: 'unknown' });
  });

  it('cost one question to the replicas for all claims of a turn', async () => {
    const { backend } = await trial.connect(one());
    await trial.admin.config('RESETSTAT');
    const claims = Array.from({ length: 500 }, (_, n) => trial.claim({ key: `trial:${n}` }));
    await Promise.all(claims.map((claim) => granted(backend, claim)));
    const stats = await trial.admin.info('commandstats');
    expect(Number(/cmdstat_wait:calls=(\d+)/.exec(stats)?.[1])).toBeLessThan(100);
    for (const { key } of claims.slice(-20)) expect(await replica.call('EXISTS', `{${key}}`)).toBe(1);
  });

  it('[46] are denied by a server that has too few replicas by its own rule', async () => {
    const { backend } = await trial.connect(one());
    await trial.admin.config('SET', 'min-replicas-to-write', '2');
    const { message, certainty } = await failureOf(backend.claim(trial.claim()));
    expect(certainty).toBe('denied');
    expect(message).toContain('too few of its replicas are in reach');
  });

  it('[46] do not count when the connection broke before the answer of the replicas: it may be another server by then', async () => {
    const client = new Redis(trial.server.url, { retryStrategy: () => 20 });
    own.push(client);
    client.on('error', () => undefined);
    const { backend } = await trial.connect(redis(client, { replicas: 1, replicaTimeout: '5s' }));
    replica.freeze();
    const failure = failureOf(backend.claim(trial.claim()));
    await until(async () => /cmd=wait/.test(String(await trial.admin.client('LIST'))), 'the wait');
    // this client asks again over the next connection what it asked over the last
    const broken = client.stream;
    client.disconnect(true);
    await until(() => client.stream !== broken && client.status === 'ready', 'the next connection');
    replica.thaw();
    expect(await failure).toMatchObject({ certainty: 'unknown' });
  });

  it('[46] are refused at the start, in a sentence, where too few replicas are in reach', async () => {
    const { message } = await failureOf(
      redis(trial.server.url, { replicas: 2 }).start({
        clock: trial.clock,
        identity: 'trial',
        doubt: () => undefined,
        report: () => undefined,
      }),
    );
    expect(message).toBe(
      `Redis at ${trial.server.address} has 1 replica(s) in reach, and \`replicas: 2\` asks for 2 to acknowledge each grant, so no lock could be had. Add replicas, or lower the setting.`,
    );
  });

  it.each([-1, 1.5, NaN, '1', 101])('refuse replicas: %p', (replicas) => {
    expect(() => redis(trial.server.url, { replicas: replicas as number })).toThrow(
      /^replicas is .*; give a whole number of replicas that have to acknowledge a grant, or 0\.$/,
    );
  });
});
