import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { redis } from '../../lib/backends/redis/index.js';
import type { Claim } from '../../lib/backends/lock-backend.js';
import { busy, failureOf, granted, listenTo, RedisTrial, until, waitFor } from '../support/redis-trial.js';

const NAME = '{trial:key}';
const HOUR_MS = 3_600_000;

describe('a Redis server in trouble', () => {
  let trial: RedisTrial;
  beforeAll(async () => {
    trial = await RedisTrial.open();
  });
  afterEach(() => trial.clear());
  afterAll(() => trial.close());

  it('[45] is taught the scripts again after SCRIPT FLUSH, by whichever verb comes next', async () => {
    const { backend } = await trial.connect();
    const forget = (): Promise<unknown> => trial.admin.script('FLUSH');
    await forget();
    const grant = await granted(backend, trial.claim());
    await forget();
    expect(await backend.renew([grant])).toEqual(['renewed']);
    await forget();
    expect((await backend.inspect('trial:key'))?.holders).toHaveLength(1);
    await forget();
    const waiter = trial.claim({ queue: true });
    const place = await busy(backend, waiter);
    await forget();
    await place.retry();
    await forget();
    await backend.abandon(waiter);
    await forget();
    expect(await backend.evict('trial:key')).toBe(true);
    await forget();
    expect(await backend.release(grant)).toBe('gone');
  });

  describe('that is out of memory', () => {
    const modes = [{ mode: 'exclusive' }, { mode: 'shared' }, { mode: 'permits', take: 2, of: 9 }] as const;
    const starve = (): Promise<unknown> => trial.admin.config('SET', 'maxmemory', '1');
    afterEach(() => trial.admin.config('SET', 'maxmemory', '0'));

    it.each(modes)('still releases, and hands over to the next, in mode $mode', async (wish) => {
      const { backend } = await trial.connect();
      const grants = [await granted(backend, trial.claim(wish))];
      if (wish.mode !== 'exclusive') grants.push(await granted(backend, trial.claim(wish)));
      const next = trial.claim({ queue: true });
      const ear = listenTo(await busy(backend, next));
      await starve();
      for (const grant of grants) expect(await backend.release(grant)).toBe('released');
      await until(() => ear.hints === 1, 'the hint');
      expect((await backend.inspect('trial:key'))?.holders).toMatchObject([{ owner: next.owner }]);
    });

    it.each(modes)('still renews, extends and lingers in mode $mode', async (wish) => {
      const { backend } = await trial.connect();
      const grant = await granted(backend, trial.claim(wish));
      await starve();
      expect(await backend.renew([grant])).toEqual(['renewed']);
      const longer = { ...grant, claim: { ...grant.claim, ttlMs: 50_000 } };
      expect(await backend.renew([longer])).toEqual(['renewed']);
      expect((await backend.inspect('trial:key'))?.holders[0]?.expiresInMs).toBeGreaterThan(40_000);
      expect(await backend.release(grant, 1_000)).toBe('released');
      expect(await backend.renew([grant])).toEqual(['gone']);
    });

    it('still evicts, and takes an abandoned lock away', async () => {
      const { backend } = await trial.connect();
      const claims = [trial.claim(), trial.claim({ key: 'trial:other' })] as const;
      for (const claim of claims) await granted(backend, claim);
      await starve();
      expect(await backend.evict(claims[0].key)).toBe(true);
      await backend.abandon(claims[1]);
      expect(await trial.names()).toEqual([]);
    });

    it('denies claims in a sentence, and changes nothing', async () => {
      const { backend } = await trial.connect();
      await starve();
      for (const wish of [...modes, { mode: 'exclusive', queue: true } as const]) {
        const { message, certainty } = await failureOf(backend.claim(trial.claim(wish)));
        expect(certainty).toBe('denied');
        expect(message).toContain(
          'did not claim trial:key: it is out of memory: raise maxmemory, or remove something',
        );
      }
      expect(await trial.names()).toEqual([]);
    });
  });

  describe('whose clock was set back by an hour', () => {
    it('[38] lets an exclusive lock run for no more than its ttl', async () => {
      const { backend } = await trial.connect();
      await granted(backend, trial.claim({ ttlMs: 500 }));
      await trial.admin.pexpire(NAME, HOUR_MS);
      const place = await busy(backend, trial.claim({ queue: true }));
      expect(place.busy.expiresInMs).toBeLessThanOrEqual(500);
      expect(await trial.admin.pttl(NAME)).toBeLessThanOrEqual(500);
    });

    it.each([{ mode: 'shared' }, { mode: 'permits', of: 2 }] as const)(
      '[38] lets a $mode lock run for no more than its ttl',
      async (wish) => {
        const { backend } = await trial.connect();
        const first = await granted(backend, trial.claim({ ...wish, ttlMs: 400 }));
        const second = await granted(backend, trial.claim({ ...wish, ttlMs: 200 }));
        await setGroupAhead([first.claim, second.claim]);
        const place = await busy(backend, trial.claim({ queue: true }));
        expect(place.busy.expiresInMs).toBeLessThanOrEqual(400);
        expect(place.busy.expiresInMs).toBeGreaterThan(300);
        for (const part of ['held', 'group'])
          expect(await trial.admin.pttl(`${NAME}:${part}`)).toBeLessThanOrEqual(400);
        await sleep(250);
        expect((await backend.inspect('trial:key'))?.holders.map(({ owner }) => owner)).toEqual([
          first.claim.owner,
        ]);
        await sleep(200);
        expect(await place.retry()).toHaveProperty('fence');
      },
    );

    it('[37] does not keep a dead head of the line alive', async () => {
      const { backend } = await trial.connect();
      const holder = await granted(backend, trial.claim());
      await busy(backend, trial.claim({ queue: true }));
      const [dead] = await trial.admin.zrange(`${NAME}:beat`, '0', '-1');
      await trial.admin.zincrby(`${NAME}:beat`, HOUR_MS, String(dead));
      await backend.release(holder);
      const startMs = performance.now();
      await waitFor(backend, trial.claim({ queue: true }));
      expect(performance.now() - startMs).toBeLessThan(1_200);
    });

    it('[47] still gives out higher fences', async () => {
      const { backend } = await trial.connect();
      const ahead = BigInt(Date.now() + HOUR_MS) * 1_000n;
      await trial.admin.set('{trial}:fence', String(ahead), 'PX', HOUR_MS);
      const first = await granted(backend, trial.claim());
      const second = await granted(backend, trial.claim({ mode: 'shared', key: 'trial:b' }));
      expect([first.fence, second.fence]).toEqual([ahead + 1n, ahead + 2n]);
    });

    async function setGroupAhead(claims: readonly Claim[]): Promise<void> {
      for (const { owner } of claims) await trial.admin.zincrby(`${NAME}:held`, HOUR_MS, owner);
      await trial.admin.hincrby(`${NAME}:group`, '#seen', HOUR_MS);
      for (const part of ['held', 'group', 'of']) await trial.admin.pexpire(`${NAME}:${part}`, HOUR_MS);
    }
  });

  it('refuses a claim that arrives after it was abandoned, and says so', async () => {
    const { backend } = await trial.connect();
    for (const wish of [
      {},
      { queue: true },
      { mode: 'shared' },
      { mode: 'permits', of: 3, queue: true },
    ] as const) {
      const claim = trial.claim(wish);
      await backend.abandon(claim);
      const { message, certainty } = await failureOf(backend.claim(claim));
      expect(certainty).toBe('denied');
      expect(message).toBe(`The claim of ${claim.owner} on "trial:key" arrived after it had been abandoned.`);
    }
    expect(await trial.names()).toEqual([]);
  });

  it('[29] keeps a lock that was taken over from whatever its former owner still sends', async () => {
    const { backend } = await trial.connect();
    for (const wish of [{ mode: 'exclusive' }, { mode: 'shared' }, { mode: 'permits', of: 1 }] as const) {
      const stale = await granted(backend, trial.claim({ ...wish, ttlMs: 30 }));
      await sleep(40);
      const owner = await granted(backend, trial.claim(wish));
      expect(await backend.release(stale)).toBe('gone');
      expect(await backend.release(stale, 5_000)).toBe('gone');
      expect(await backend.renew([stale])).toEqual(['gone']);
      await backend.abandon(stale.claim);
      expect((await backend.inspect('trial:key'))?.holders).toMatchObject([{ owner: owner.claim.owner }]);
      expect(await backend.renew([owner])).toEqual(['renewed']);
      expect(await backend.release(owner)).toBe('released');
    }
  });

  it('[47] gives out higher fences after it lost everything, and after a restart', async () => {
    const { backend } = await trial.connect();
    let last = 0n;
    const next = async (): Promise<void> => {
      const grant = await granted(backend, trial.claim());
      expect(grant.fence).toBeGreaterThan(last);
      last = grant.fence;
      await backend.release(grant);
    };
    await next();
    await trial.admin.flushall();
    await next();
    await trial.server.restart();
    await until(() => isUp(backend.claim(trial.claim({ key: 'trial:probe' }))), 'a new connection');
    await next();
  });

  it('makes the outcome unknown when it dies with a claim in flight, and denies what cannot be sent', async () => {
    const { backend, doubts, reports } = await trial.connect();
    trial.server.freeze();
    const inFlight = failureOf(backend.claim(trial.claim()));
    await sleep(50);
    await trial.server.kill();
    expect(await inFlight).toMatchObject({ certainty: 'unknown' });
    const { message, certainty } = await failureOf(backend.claim(trial.claim()));
    expect(certainty).toBe('denied');
    expect(message).toMatch(
      /^Redis at 127\.0\.0\.1:\d+ did not claim trial:key: there is no connection \(\w+\)\.$/,
    );
    await sleep(400);
    expect(reports.map((report) => report.message)).toEqual([
      expect.stringMatching(/^The connection to Redis at .* is down, and is tried again: /),
    ]);
    await trial.server.restart();
    await until(() => doubts.length >= 1, 'doubt over the connection');
    await granted(backend, trial.claim());
  });

  it('does not carry out later what was given up when its connection fell silent', async () => {
    const { backend } = await trial.connect(redis(trial.server.url, { socketTimeout: 200 }));
    const claim = trial.claim();
    trial.server.freeze();
    expect(await failureOf(backend.claim(claim))).toMatchObject({ certainty: 'unknown' });
    trial.server.thaw();
    await until(() => isUp(backend.abandon(claim)), 'a new connection');
    expect(await trial.names()).toEqual([]);
  });

  it('denies what a replica refuses', async () => {
    const { backend } = await trial.connect();
    await trial.admin.call('REPLICAOF', '127.0.0.1', '1');
    try {
      const { message, certainty } = await failureOf(backend.claim(trial.claim()));
      expect(certainty).toBe('denied');
      expect(message).toContain('it is a replica, which takes no writes: connect to the primary');
    } finally {
      await trial.admin.call('REPLICAOF', 'NO', 'ONE');
    }
  });

  it('says in a sentence that a key holds something else, and renews the other locks all the same', async () => {
    const { backend } = await trial.connect();
    const grants = [
      await granted(backend, trial.claim()),
      await granted(backend, trial.claim({ key: 'trial:b' })),
    ];
    await trial.admin.del(NAME);
    await trial.admin.rpush(NAME, 'foreign');
    await trial.admin.pexpire(NAME, HOUR_MS);
    const { message, certainty } = await failureOf(backend.claim(trial.claim()));
    expect(certainty).toBe('denied');
    expect(message).toContain(
      'something that is not a lock lies under the key: give the locks a prefix of their own',
    );
    expect(await backend.renew(grants)).toEqual(['gone', 'renewed']);
  });

  it('[28] renews a thousand leases of all modes in four calls', async () => {
    const { backend } = await trial.connect();
    const modes = ['exclusive', 'shared', 'permits'] as const;
    const claims = Array.from({ length: 1_000 }, (_, i) =>
      trial.claim({ key: `trial:${i}`, mode: modes[i % 3]! }),
    );
    const grants = await Promise.all(claims.map((claim) => granted(backend, claim)));
    await backend.release(grants[500]!);
    await trial.admin.config('RESETSTAT');
    const outcomes = await backend.renew(grants);
    expect(await trial.scriptCalls()).toBe(4);
    expect(outcomes.map((outcome, i) => (outcome === 'renewed' ? -1 : i)).filter((i) => i >= 0)).toEqual([
      500,
    ]);
  });
});

function isUp(call: Promise<unknown>): Promise<boolean> {
  return call.then(
    () => true,
    () => false,
  );
}
