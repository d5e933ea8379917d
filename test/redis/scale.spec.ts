import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { redis } from '../../lib/backends/redis/index.js';
import { Locks } from '../../lib/core/locks.js';
import type { Lease } from '../../lib/core/lease.js';
import { RedisTrial, until } from '../support/redis-trial.js';

const LIMIT_MS = 120_000;
const SECOND_MS = 1_000;

describe('a crowd on a Redis server', () => {
  let trial: RedisTrial;
  const services: Locks[] = [];
  beforeAll(async () => {
    trial = await RedisTrial.open();
  });
  afterEach(async () => {
    await Promise.all(services.splice(0).map((locks) => locks.stop()));
    await trial.clear();
  });
  afterAll(() => trial.close());

  async function service(): Promise<Locks> {
    const locks = new Locks(redis(trial.server.url), { callTimeout: '20s', ttl: '60s' });
    services.push(locks);
    await locks.start();
    return locks;
  }

  async function hold(locks: Locks, keys: readonly string[], ttl = 60_000): Promise<Lease[]> {
    const leases: Lease[] = [];
    for (let at = 0; at < keys.length; at += 500)
      leases.push(
        ...(await Promise.all(keys.slice(at, at + 500).map((key) => locks.acquire(key, { wait: 0, ttl })))),
      );
    return leases;
  }

  const named = (count: number): string[] => Array.from({ length: count }, (_, n) => `k${n}`);

  async function connections(): Promise<number> {
    const list = String(await trial.admin.client('LIST')).trim();
    return list.split('\n').length;
  }

  it(
    '[15] waits on five thousand keys over two connections, and shows life for all in a few calls',
    async () => {
      const keys = named(5_000);
      const [holder, waiter] = [await service(), await service()];
      const leases = await hold(holder, keys);
      const before = await connections();
      const waiting = Promise.all(
        keys.map((key) => waiter.using(key, { wait: '5m' }, async () => undefined)),
      );
      const waits = async (key: string): Promise<boolean> => (await holder.inspect(key))?.waiting === 1;
      await until(() => waits('k4999'), 'the last place', 20_000);
      await sleep(SECOND_MS);
      await trial.admin.config('RESETSTAT');
      const startMs = performance.now();
      await sleep(10 * SECOND_MS);
      const seconds = (performance.now() - startMs) / SECOND_MS;
      // 20 for the signs of life of each 300 ms; a tenth of all ask anew at each of them: 500
      expect((await trial.scriptCalls()) / seconds).toBeLessThan(1.25 * (520 / 0.3));
      expect(await connections()).toBe(before);
      expect(await trial.admin.pubsub('CHANNELS', '*')).toHaveLength(2);
      for (const key of [keys[0]!, keys[2_500]!, keys[4_999]!])
        await until(() => waits(key), `a place for ${key}`);
      await Promise.all(leases.map((lease) => lease.release()));
      await waiting;
    },
    LIMIT_MS,
  );

  it(
    '[15] serves ten thousand callers of one key in one process in order, with one place in the line',
    async () => {
      const [holder, crowd] = [await service(), await service()];
      const lease = await holder.acquire('k', { wait: 0 });
      const served: number[] = [];
      const callers = Array.from({ length: 10_000 }, (_, n) =>
        crowd.using('k', { wait: '5m' }, async () => void served.push(n)),
      );
      await until(async () => (await holder.inspect('k'))?.waiting === 1, 'a place');
      expect(crowd.gauges.waiting).toBe(10_000);
      await trial.admin.config('RESETSTAT');
      await lease.release();
      await Promise.all(callers);
      expect(served).toEqual(callers.map((_, n) => n));
      expect(await trial.scriptCalls()).toBeLessThan(2.2 * 10_000);
    },
    LIMIT_MS,
  );

  it(
    '[28] keeps ten thousand leases for three of their ttls, in a few calls a renewal and two kilobytes each',
    async () => {
      const locks = await service();
      const keys = named(10_000);
      await hold(locks, ['warm-up']);
      const heapBefore = usedHeap();
      const leases = await hold(locks, keys, 10_000);
      const heapPerLease = (usedHeap() - heapBefore) / keys.length;
      await trial.admin.config('RESETSTAT');
      await sleep(30 * SECOND_MS);
      const lost = leases.filter((lease) => !lease.held);
      expect(lost).toHaveLength(0);
      // nine renewals, of 40 calls each when all are due together
      expect(await trial.scriptCalls()).toBeLessThan(10 * 100);
      expect(heapPerLease).toBeLessThan(3 * 1_024);
      await Promise.all(leases.map((lease) => lease.release()));
    },
    LIMIT_MS,
  );
});

function usedHeap(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  return process.memoryUsage().heapUsed;
}
