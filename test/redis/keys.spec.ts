import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { Claim, LockBackend } from '../../lib/backends/lock-backend.js';
import { redis } from '../../lib/backends/redis/index.js';
import { Locks } from '../../lib/core/locks.js';
import { ManualClock } from '../../lib/testing/manual-clock.js';
import { failure } from '../support/failure.js';
import { listed, listedKeys } from '../support/listed.js';
import { busy, granted, RedisTrial, until } from '../support/redis-trial.js';
import { Wire } from '../support/wire.js';

describe('the keys on a Redis server', () => {
  let trial: RedisTrial;
  beforeAll(async () => {
    trial = await RedisTrial.open();
  });
  afterEach(() => trial.clear());
  afterAll(() => trial.close());

  const modes = [{ mode: 'exclusive' }, { mode: 'shared' }, { mode: 'permits', take: 2, of: 3 }] as const;

  it.each(modes)('all expire, whatever is done in mode $mode', async (wish) => {
    const { backend } = await trial.connect();
    const grant = await granted(backend, trial.claim(wish));
    await trial.checkExpiries();
    const waiter = trial.claim({ queue: true });
    await busy(backend, waiter);
    await trial.checkExpiries();
    await backend.renew([{ ...grant, claim: { ...grant.claim, ttlMs: 60_000 } }]);
    await trial.checkExpiries();
    await backend.abandon(waiter);
    await backend.release(grant, 5_000);
    await trial.checkExpiries();
    await backend.evict(grant.claim.key);
    await trial.checkExpiries();
  });

  it.each(modes)('are gone when nobody holds or waits any more in mode $mode', async (wish) => {
    const { backend } = await trial.connect();
    const first = await granted(backend, trial.claim(wish));
    const waiter = trial.claim({ queue: true });
    const place = await busy(backend, waiter);
    await backend.release(first);
    const second = await place.retry();
    expect(second).toHaveProperty('fence');
    await backend.abandon(waiter);
    expect(await trial.names()).toEqual([]);
  });

  it('[41] last exactly as long as the longest lease of a group', async () => {
    const { backend } = await trial.connect();
    const long = await granted(backend, trial.claim({ mode: 'shared', ttlMs: 9_000 }));
    await granted(backend, trial.claim({ mode: 'shared', ttlMs: 1_000 }));
    const name = '{trial:key}';
    for (const part of [':held', ':group'])
      expect(await trial.admin.pttl(name + part)).toBeGreaterThan(8_000);
    await backend.renew([{ ...long, claim: { ...long.claim, ttlMs: 30_000 } }]);
    for (const part of [':held', ':group'])
      expect(await trial.admin.pttl(name + part)).toBeGreaterThan(29_000);
  });

  it('[45] of one lock carry its name as their hash tag, so that a cluster keeps them in one slot', async () => {
    const { backend } = await trial.connect();
    await granted(backend, trial.claim({ mode: 'permits', of: 1 }));
    const waiter = trial.claim({ queue: true });
    await busy(backend, waiter);
    const names = await trial.names();
    expect(names).toEqual(['beat', 'group', 'held', 'line', 'of'].map((part) => `{trial:key}:${part}`));
  });

  it('remember the last fence once for all locks of a prefix', async () => {
    const { backend } = await trial.connect();
    for (let i = 0; i < 20; i++)
      await backend.release(await granted(backend, trial.claim({ key: `trial:${i}` })));
    expect(await trial.admin.keys('*')).toEqual(['{trial}:fence']);
  });

  it('[4] of locks whose names differ only in case or in special characters are distinct', async () => {
    const { backend } = await trial.connect();
    const keys = [
      'trial:a',
      'trial:A',
      'trial:a:',
      'trial:a:held',
      'trial:a:line',
      'trial:..',
      'trial:/',
      'trial:@-~_',
    ];
    for (const key of keys) await granted(backend, trial.claim({ key }));
    const held = await Promise.all(keys.map((key) => backend.inspect(key)));
    expect(held.map((snapshot) => snapshot?.holders.length)).toEqual(keys.map(() => 1));
  });

  it('[32] are listed by prefix, held or only waited for, and pattern characters mean themselves', async () => {
    const { backend } = await trial.connect();
    await granted(backend, trial.claim({ key: 'trial:a1' }));
    await granted(backend, trial.claim({ key: 'trial:a2', mode: 'shared' }));
    await granted(backend, trial.claim({ key: 'trial:b1' }));
    await busy(backend, trial.claim({ key: 'trial:b1', queue: true }));
    await granted(backend, trial.claim({ key: 'trial:a3', ttlMs: 60 }));
    await busy(backend, trial.claim({ key: 'trial:a3', queue: true }));
    await sleep(100);
    const list = (prefix: string): Promise<string[]> => listedKeys(backend, prefix);
    expect(await list('trial:a')).toEqual(['trial:a1', 'trial:a2', 'trial:a3']);
    expect(await list('trial:')).toEqual(['trial:a1', 'trial:a2', 'trial:a3', 'trial:b1']);
    for (const pattern of ['trial:*', 'trial:?', 'trial:[ab]', 'trial:\\'])
      expect(await list(pattern)).toEqual([]);
  });

  it('[32] are listed completely, and once each, when there are many', async () => {
    const { backend } = await trial.connect();
    const keys = Array.from({ length: 1_500 }, (_, i) => `trial:${i}`);
    await Promise.all(keys.map((key) => granted(backend, trial.claim({ key }))));
    expect(await listedKeys(backend, 'trial:')).toEqual(keys.sort());
  });

  describe('[32] among a hundred thousand keys of others', () => {
    const CALL_TIMEOUT_MS = 1_000;
    const clients: Redis[] = [];
    beforeEach(async () => {
      const fill = `for n = 1, 100000 do redis.call('SET', 'other:' .. n, '', 'PX', 600000) end`;
      await trial.admin.eval(fill, 0);
    });
    afterEach(async () => {
      for (const client of clients.splice(0)) client.disconnect();
      await trial.admin.flushall();
    });

    /** A service whose clock goes on by a tenth of its `callTimeout` with each page that it asks the server for. */
    async function onASlowServer(wire: Wire): Promise<{ locks: Locks; clock: ManualClock; pages: number }> {
      const clock = new ManualClock();
      const client = new Redis({ port: wire.port, disconnectTimeout: 50 });
      clients.push(client);
      const locks = new Locks(redis(client), { clock, prefix: 'trial', callTimeout: CALL_TIMEOUT_MS });
      const slow = { locks, clock, pages: 0 };
      wire.loseReply(([verb]) => {
        if (verb === 'scan') {
          slow.pages++;
          void clock.advance(CALL_TIMEOUT_MS / 10);
        }
        return false;
      });
      await locks.start();
      return slow;
    }

    it('are listed, though that takes many times as long as one call may take', async () => {
      await using wire = await Wire.to(trial.server.port);
      const slow = await onASlowServer(wire);
      const { backend } = await trial.connect();
      for (const key of ['trial:a', 'trial:b']) await granted(backend, trial.claim({ key }));
      const found: string[] = [];
      for await (const { key } of slow.locks.list()) found.push(key);
      expect(found.sort()).toEqual(['a', 'b']);
      expect(slow.pages).toBeGreaterThan(100);
      await slow.locks.stop();
    });

    it('are not waited for when the server falls silent on the way', async () => {
      await using wire = await Wire.to(trial.server.port);
      const slow = await onASlowServer(wire);
      const failed = failure(slow.locks.list().next());
      await until(() => slow.pages > 20, 'some pages');
      wire.silent('replies');
      await slow.clock.advance(CALL_TIMEOUT_MS);
      expect(await failed).toMatchObject({ name: 'LockUnavailableError' });
      wire.audible();
      await slow.locks.stop();
    });
  });

  it("[5] take the client's own key prefix, also when they are listed", async () => {
    const { backend } = await trial.connect(redis(trial.server.url, { keyPrefix: 'app[1]:' }));
    const grant = await granted(backend, trial.claim({ mode: 'shared' }));
    expect(await trial.names()).toEqual(['app[1]:{trial:key}:group', 'app[1]:{trial:key}:held']);
    expect(await listedKeys(backend, 'trial:')).toEqual(['trial:key']);
    expect(await backend.renew([grant])).toEqual(['renewed']);
    expect(await backend.release(grant)).toBe('released');
    expect(await trial.admin.keys('*')).toEqual(['app[1]:{trial}:fence']);
  });

  it('[32] show who holds, lingers, died and waits, in every mode', async () => {
    const { backend } = await trial.connect(redis(trial.server.url, { lockDelay: '20s' }));
    for (const wish of modes) {
      const key = `trial:${wish.mode}`;
      const claim = (given: object = {}): Claim => trial.claim({ ...wish, key, take: 1, ...given });
      const alone = wish.mode === 'exclusive';
      const dead = await granted(backend, claim({ ttlMs: 50 }));
      await sleep(60);
      const holders: object[] = [{ owner: dead.claim.owner, fence: dead.fence, state: 'delayed' }];
      if (!alone) {
        const lingering = await granted(backend, claim());
        await backend.release(lingering, 10_000);
        const holder = await granted(backend, claim());
        holders.push({ owner: lingering.claim.owner, state: 'lingering' });
        holders.push({ owner: holder.claim.owner, fence: holder.fence });
      }
      await busy(backend, trial.claim({ key, queue: true }));
      const snapshot = await backend.inspect(key);
      expect(snapshot).toMatchObject({ key, mode: wish.mode, waiting: 1 });
      expect(snapshot?.holders).toHaveLength(holders.length);
      expect(snapshot?.holders).toEqual(
        expect.arrayContaining(holders.map((holder) => expect.objectContaining(holder))),
      );
      for (const { expiresInMs, state } of snapshot!.holders) {
        expect(expiresInMs).toBeGreaterThan(0);
        expect(expiresInMs).toBeLessThanOrEqual(state === 'lingering' ? 10_000 : 20_000);
      }
      expect((await listed(backend, key)).map((one) => one.holders.length)).toEqual([holders.length]);
      expect(await backend.evict(key)).toBe(true);
      expect((await backend.inspect(key))?.holders).toEqual([]);
    }
  });

  it.each(modes)(
    'all expire with a lockDelay as well, and nothing is left behind it in mode $mode',
    async (wish) => {
      const { backend } = await trial.connect(redis(trial.server.url, { lockDelay: '300ms' }));
      const dead = await granted(backend, trial.claim({ ...wish, ttlMs: 100 }));
      await trial.checkExpiries();
      await sleep(150);
      await trial.checkExpiries();
      expect(await backend.release(dead, 5_000)).toBe('gone');
      await sleep(300);
      expect(await trial.names()).toEqual([]);
    },
  );

  it('are as cheap to claim and to release with a lockDelay as without', async () => {
    const cost = async (backend: LockBackend): Promise<string[]> => {
      await backend.release(await granted(backend, trial.claim()));
      await trial.admin.config('RESETSTAT');
      await backend.release(await granted(backend, trial.claim()));
      const stats = await trial.admin.info('commandstats');
      return [...stats.matchAll(/cmdstat_(\w+):calls=(\d+)/g)]
        .map(([, name, calls]) => `${name} ${calls}`)
        .filter((line) => !/^(config|info|pttl)/.test(line))
        .sort();
    };
    const { backend: plain } = await trial.connect();
    const { backend: delaying } = await trial.connect(redis(trial.server.url, { lockDelay: '5s' }));
    expect(await cost(delaying)).toEqual(await cost(plain));
  });
});
