import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { busy, granted, listenTo, RedisTrial, until, waitFor, type Client } from '../support/redis-trial.js';

describe('the line on a Redis server', () => {
  let trial: RedisTrial;
  beforeAll(async () => {
    trial = await RedisTrial.open();
  });
  afterEach(() => trial.clear());
  afterAll(() => trial.close());

  it('[36] serves several processes in the order of their arrival', async () => {
    const clients: Client[] = [];
    for (let i = 0; i < 3; i++) clients.push(await trial.connect());
    const backends = clients.map(({ backend }) => backend);
    const first = backends[0]!;
    const holder = await granted(first, trial.claim());
    const served: number[] = [];
    const waiters: Promise<void>[] = [];
    for (let i = 0; i < 12; i++) {
      const backend = backends[i % 3]!;
      const wait = waitFor(backend, trial.claim({ queue: true })).then(async (grant) => {
        served.push(i);
        await backend.release(grant);
      });
      waiters.push(wait);
      await until(
        async () => (await first.inspect('trial:key'))?.waiting === i + 1,
        `the place of waiter ${i}`,
      );
    }
    await first.release(holder);
    await Promise.all(waiters);
    expect(served).toEqual(Array.from({ length: 12 }, (_, i) => i));
  });

  it('[36] keeps a newcomer out as long as somebody waits, and leaves no trace of a claim that does not', async () => {
    const { backend } = await trial.connect();
    const holder = await granted(backend, trial.claim());
    const head = trial.claim({ queue: true });
    await busy(backend, head);
    await backend.release(holder);
    const { busy: why } = await busy(backend, trial.claim());
    expect(why).toEqual({ holder: head.owner, expiresInMs: expect.any(Number), ahead: 0 });
    expect((await backend.inspect('trial:key'))?.waiting).toBe(0);
  });

  it('[37] skips a dead head of the line within a second of its heartbeat', async () => {
    const { backend } = await trial.connect();
    const holder = await granted(backend, trial.claim());
    await busy(backend, trial.claim({ queue: true }));
    const silentSinceMs = performance.now();
    const next = waitFor(backend, trial.claim({ queue: true }));
    await backend.release(holder);
    await next;
    expect(performance.now() - silentSinceMs).toBeGreaterThan(900);
    expect(performance.now() - silentSinceMs).toBeLessThan(1_150);
  });

  it('[37] lets a place that fell silent join the end again', async () => {
    const { backend } = await trial.connect();
    await granted(backend, trial.claim());
    const early = await busy(backend, trial.claim({ queue: true }));
    const late = await busy(backend, trial.claim({ queue: true }));
    for (let i = 0; i < 4; i++) {
      await sleep(300);
      await late.retry();
    }
    expect(late.busy.ahead).toBe(0);
    await early.retry();
    expect(early.busy.ahead).toBe(1);
  });

  it('[39] holds new readers back while a writer waits, and then lets all of them in together', async () => {
    const { backend } = await trial.connect();
    const reader = await granted(backend, trial.claim({ mode: 'shared' }));
    const writer = await busy(backend, trial.claim({ queue: true }));
    const readers = [];
    for (let i = 0; i < 40; i++)
      readers.push(await busy(backend, trial.claim({ mode: 'shared', queue: true })));
    await backend.release(reader);
    const written = await writer.retry();
    expect(written).toHaveProperty('fence');
    const ears = readers.map(listenTo);
    await backend.release(written as never);
    await until(() => ears.every(({ hints }) => hints === 1), 'a hint for each reader');
    // in any order
    const answers = await Promise.all(readers.reverse().map((place) => place.retry()));
    for (const answer of answers) expect(answer).toHaveProperty('fence');
  });

  it('[42] does not let small requests for permits starve a large one', async () => {
    const { backend } = await trial.connect();
    const permits = (take: number): object => ({ mode: 'permits', take, of: 4, queue: true });
    const small = [
      await granted(backend, trial.claim(permits(1))),
      await granted(backend, trial.claim(permits(1))),
    ];
    const large = await busy(backend, trial.claim(permits(3)));
    const later = await busy(backend, trial.claim(permits(1)));
    expect(later.busy).toMatchObject({ ahead: 1 });
    await backend.release(small[0]!);
    expect(await later.retry()).not.toHaveProperty('fence');
    expect(await large.retry()).toHaveProperty('fence');
    expect(await later.retry()).not.toHaveProperty('fence');
    await backend.release(small[1]!);
    expect(await later.retry()).toHaveProperty('fence');
  });

  it('[42] counts by the smallest number of permits among the holders, and forgets it when they leave', async () => {
    const { backend } = await trial.connect();
    const permits = (of: number): object => ({ mode: 'permits', of });
    const modest = await granted(backend, trial.claim(permits(2)));
    await granted(backend, trial.claim(permits(5)));
    await busy(backend, trial.claim(permits(5)));
    expect((await backend.inspect('trial:key'))?.of).toBe(2);
    await backend.release(modest);
    for (let i = 0; i < 4; i++) await granted(backend, trial.claim(permits(5)));
    await busy(backend, trial.claim(permits(5)));
    expect((await backend.inspect('trial:key'))?.of).toBe(5);
  });

  it('[42] gives the permits of dead holders back when their leases end', async () => {
    const { backend } = await trial.connect();
    for (let i = 0; i < 3; i++) await granted(backend, trial.claim({ mode: 'permits', of: 3, ttlMs: 80 }));
    await sleep(100);
    await granted(backend, trial.claim({ mode: 'permits', take: 3, of: 3 }));
  });

  it('[15] needs one connection and one subscription, however many keys are waited for', async () => {
    const { backend } = await trial.connect();
    for (let i = 0; i < 50; i++) {
      await granted(backend, trial.claim({ key: `trial:${i}` }));
      listenTo(await busy(backend, trial.claim({ key: `trial:${i}`, queue: true })));
    }
    const connections = String(await trial.admin.client('LIST'))
      .trim()
      .split('\n');
    // ours, and the one that asks
    expect(connections).toHaveLength(1 + 1);
    expect(await trial.admin.pubsub('CHANNELS', '*')).toHaveLength(1);
  });

  it('[15] hands over with two server calls where the lock cannot come with the hint', async () => {
    const { backend } = await trial.connect();
    const holder = await granted(backend, trial.claim());
    const next = waitFor(backend, trial.claim({ queue: true, firm: true }));
    await until(async () => (await backend.inspect('trial:key'))?.waiting === 1, 'a place');
    await trial.admin.config('RESETSTAT');
    await backend.release(holder);
    await next;
    expect(await trial.scriptCalls()).toBe(2);
  });

  it('[12] keeps a hint that comes before anybody listens for it', async () => {
    const { backend } = await trial.connect();
    const holder = await granted(backend, trial.claim());
    const place = await busy(backend, trial.claim({ queue: true }));
    await backend.release(holder);
    await sleep(50);
    const ear = listenTo(place);
    await until(() => ear.hints === 1, 'the hint');
  });

  it('[13] leaves the hints of others alone when somebody gives up', async () => {
    const { backend } = await trial.connect();
    const holder = await granted(backend, trial.claim());
    const leaver = trial.claim({ queue: true });
    const gone = listenTo(await busy(backend, leaver));
    const ear = listenTo(await busy(backend, trial.claim({ queue: true })));
    await backend.abandon(leaver);
    expect(ear.hints).toBe(0);
    await backend.release(holder);
    await until(() => ear.hints === 1, 'the hint');
    expect(gone.hints).toBe(0);
  });

  it('[14] subscribes again when the subscription is killed, and wakes everybody', async () => {
    const { backend, doubts } = await trial.connect();
    const holder = await granted(backend, trial.claim());
    const ears: { hints: number }[] = [];
    for (let i = 0; i < 3; i++) ears.push(listenTo(await busy(backend, trial.claim({ queue: true }))));
    await trial.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until(() => ears.every(({ hints }) => hints === 1), 'a hint for everybody');
    expect(doubts).toEqual([undefined]);
    await backend.release(holder);
    await until(() => ears[0]!.hints === 2, 'a hint over the new subscription');
    expect(await trial.admin.pubsub('CHANNELS', '*')).toHaveLength(1);
  });

  it('[32] casts doubt on all leases that are evicted, in the processes that hold them', async () => {
    const [one, other, bystander] = [await trial.connect(), await trial.connect(), await trial.connect()];
    const first = await granted(one.backend, trial.claim({ mode: 'shared' }));
    const second = await granted(other.backend, trial.claim({ mode: 'shared' }));
    expect(await bystander.backend.evict('trial:key')).toBe(true);
    await until(() => one.doubts.length + other.doubts.length === 2, 'both doubts');
    expect(one.doubts).toEqual([first.claim.owner]);
    expect(other.doubts).toEqual([second.claim.owner]);
    expect(bystander.doubts).toEqual([]);
    expect(await one.backend.renew([first])).toEqual(['gone']);
  });
});
