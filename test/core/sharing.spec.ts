import { describe, expect, it } from '@jest/globals';
import { LockTimeoutError } from '../../lib/core/errors.js';
import { changed, count, got, setUp } from '../support/rig.js';

const SHARED = { mode: 'shared' } as const;

describe('shared and exclusive', () => {
  it('[39] many readers together, a writer alone', async () => {
    const rig = setUp();
    const other = rig.replica();
    const readers = [];
    for (const { locks } of [rig, other, rig, other]) readers.push(await got(locks.tryAcquire('k', SHARED)));
    expect((await rig.locks.inspect('k'))?.holders).toHaveLength(4);
    expect(await rig.locks.tryAcquire('k')).toBeNull();
    for (const reader of readers) await reader.release();
    const writer = await got(rig.locks.tryAcquire('k'));
    expect(await rig.locks.tryAcquire('k', SHARED)).toBeNull();
    expect(await other.locks.tryAcquire('k', SHARED)).toBeNull();
    await writer.release();
  });

  it.each(['the same service', 'another service'])(
    '[39] a waiting writer holds back new readers of %s',
    async (where) => {
      const rig = setUp();
      const late = where === 'the same service' ? rig : rig.replica();
      const reader = await rig.locks.acquire('k', SHARED);
      const writer = rig.watch(rig.locks.acquire('k', { wait: '10s' }));
      await rig.clock.advance(10);
      const newReader = rig.watch(late.locks.acquire('k', { ...SHARED, wait: '10s' }));
      expect(await late.locks.tryAcquire('k', SHARED)).toBeNull();
      await rig.clock.advance(1_000);
      expect(newReader.settled).toBe(false);
      await reader.release();
      await rig.clock.settle();
      expect([writer.settled, newReader.settled]).toEqual([true, false]);
      await writer.value?.release();
      await rig.clock.advance(10);
      expect(newReader.settled).toBe(true);
      await newReader.value?.release();
    },
  );

  it('[39] neither starves: readers and writers in turn', async () => {
    const rig = setUp();
    const replicas = [rig, rig.replica()];
    let readers = 0;
    let writers = 0;
    const done = { reads: 0, writes: 0 };
    const endMs = rig.clock.now() + 2_000;
    const work = Array.from({ length: 12 }, async (_, n) => {
      const { locks } = replicas[n % 2]!;
      while (rig.clock.now() < endMs) {
        if (n % 4 === 0) {
          await locks.using('k', { wait: Infinity }, async () => {
            expect([++writers, readers]).toEqual([1, 0]);
            await rig.sleep(4);
            writers--;
            done.writes++;
          });
        } else {
          await locks.using('k', { ...SHARED, wait: Infinity }, async () => {
            readers++;
            expect(writers).toBe(0);
            await rig.sleep(4);
            readers--;
            done.reads++;
          });
        }
      }
    });
    await rig.within(5_000, Promise.all(work));
    expect(done.writes).toBeGreaterThan(80);
    expect(done.reads).toBeGreaterThan(80);
  });

  it('[39] readers do not queue behind readers: their claims go out side by side', async () => {
    const rig = setUp();
    const answers: (() => void)[] = [];
    const slow = rig.replica({
      between: (inner) =>
        changed(inner, {
          claim: async (claim: Parameters<typeof inner.claim>[0]) => {
            await new Promise<void>((resolve) => {
              answers.push(resolve);
            });
            return inner.claim(claim);
          },
        }),
    });
    await slow.locks.start();
    const reading = Array.from({ length: 10 }, () => rig.watch(slow.locks.acquire('k', SHARED)));
    await rig.clock.settle();
    expect(count(slow.backend, 'claim')).toBe(10);
    for (const answer of answers) answer();
    await rig.clock.settle();
    expect(reading.every(({ settled }) => settled)).toBe(true);
    for (const { value } of reading) await value?.release();
  });

  it('[15, 39] once one of them waits, the others are one contender at the server', async () => {
    const rig = setUp();
    const writer = await rig.replica().locks.acquire('k');
    const readers = [rig.watch(rig.locks.acquire('k', SHARED))];
    await rig.clock.advance(5);
    for (let n = 0; n < 50; n++) readers.push(rig.watch(rig.locks.acquire('k', SHARED)));
    await rig.clock.advance(5);
    expect(count(rig.backend, 'claim', 'retry')).toBe(1);
    await writer.release();
    for (let turn = 0; turn < 30; turn++) await rig.clock.settle();
    expect(readers.every(({ settled }) => settled)).toBe(true);
    for (const { value } of readers) await value?.release();
  });

  it("[41] a writer's release wakes all waiting readers, of all services", async () => {
    const rig = setUp();
    const replicas = [rig, rig.replica(), rig.replica()];
    const writer = await rig.locks.acquire('k');
    const readers = Array.from({ length: 30 }, (_, n) =>
      rig.watch(replicas[n % 3]!.locks.acquire('k', { ...SHARED, wait: Infinity })),
    );
    await rig.clock.advance(50);
    const freedMs = rig.clock.now();
    await writer.release();
    for (let turn = 0; turn < 10; turn++) await rig.clock.settle();
    expect(readers.map(({ atMs }) => atMs)).toEqual(Array(30).fill(freedMs));
    expect((await rig.locks.inspect('k'))?.holders).toHaveLength(30);
    for (const { value } of readers) await value?.release();
  });

  it('[41] one dead reader neither frees nor prolongs the others', async () => {
    const rig = setUp();
    const dead = rig.replica({ plan: ({ method }) => (method === 'renew' ? 'hang' : undefined) });
    await dead.locks.acquire('k', { ...SHARED, ttl: '2s' });
    const reader = await rig.locks.acquire('k', { ...SHARED, ttl: '2s' });
    const startMs = rig.clock.now();
    await rig.clock.advance(3_000);
    expect((await rig.locks.inspect('k'))?.holders).toMatchObject([{ fence: reader.fence }]);
    const writer = rig.watch(rig.replica().locks.acquire('k', { wait: Infinity }));
    await rig.clock.advance(3_000);
    expect(writer.settled).toBe(false);
    await reader.release();
    await rig.clock.settle();
    expect(writer.atMs - startMs).toBe(6_000);
    await writer.value?.release();
  });
});

describe('permits', () => {
  it('[42] never exceed the maximum, over services and weights', async () => {
    const rig = setUp();
    const replicas = [rig, rig.replica(), rig.replica()];
    let taken = 0;
    let most = 0;
    const work = Array.from({ length: 60 }, (_, n) => {
      const take = 1 + (n % 3);
      return replicas[n % 3]!.locks.using('k', { permits: 5, take, wait: Infinity }, async () => {
        most = Math.max(most, (taken += take));
        await rig.sleep(3);
        taken -= take;
      });
    });
    await rig.within(5_000, Promise.all(work));
    expect([taken, most]).toEqual([0, 5]);
  });

  it('[42] a weighted request is all or nothing', async () => {
    const rig = setUp();
    const two = await got(rig.locks.tryAcquire('k', { permits: 3, take: 2 }));
    expect(await rig.locks.tryAcquire('k', { permits: 3, take: 2 })).toBeNull();
    const one = await got(rig.locks.tryAcquire('k', { permits: 3, take: 1 }));
    expect(await rig.locks.tryAcquire('k', { permits: 3 })).toBeNull();
    expect((await rig.locks.inspect('k'))?.holders.map(({ take }) => take)).toEqual([2, 1]);
    await two.release();
    await one.release();
  });

  it('[42] and is not starved by small ones', async () => {
    const rig = setUp();
    const replicas = [rig, rig.replica()];
    const endMs = rig.clock.now() + 3_000;
    const small = Array.from({ length: 6 }, async (_, n) => {
      while (rig.clock.now() < endMs) {
        await replicas[n % 2]!.locks.using('k', { permits: 3, wait: Infinity }, () => rig.sleep(5 + n));
      }
    });
    await rig.clock.advance(100);
    const startMs = rig.clock.now();
    const large = rig.watch(rig.replica().locks.acquire('k', { permits: 3, take: 3, wait: Infinity }));
    await rig.clock.advance(200);
    expect(large.atMs - startMs).toBeLessThan(100);
    await large.value?.release();
    await rig.within(5_000, Promise.all(small));
  });

  it("[42] dead holders' permits return at expiry", async () => {
    const rig = setUp();
    const dead = rig.replica({ plan: ({ method }) => (method === 'renew' ? 'hang' : undefined) });
    for (let n = 0; n < 3; n++) await dead.locks.acquire('k', { permits: 3, ttl: '2s' });
    const startMs = rig.clock.now();
    const next = rig.watch(rig.locks.acquire('k', { permits: 3, take: 3, wait: '10s' }));
    await rig.clock.advance(3_000);
    expect(next.atMs - startMs).toBeGreaterThanOrEqual(1_978);
    expect(next.atMs - startMs).toBeLessThanOrEqual(2_010);
    await next.value?.release();
  });

  it('holders of different modes never hold one key together', async () => {
    const rig = setUp();
    const permit = await rig.locks.acquire('k', { permits: 3 });
    expect(await rig.locks.tryAcquire('k')).toBeNull();
    expect(await rig.locks.tryAcquire('k', SHARED)).toBeNull();
    expect(await rig.failure(200, rig.locks.acquire('k', { ...SHARED, wait: 50 }))).toBeInstanceOf(
      LockTimeoutError,
    );
    await permit.release();
  });
});
