import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { Claim, Grant, LockBackend, Place } from '../../lib/backends/lock-backend.js';
import { redis } from '../../lib/backends/redis/index.js';
import { lockName } from '../../lib/backends/redis/key-names.js';
import { WaitingPlace } from '../../lib/backends/waiting-place.js';
import { Locks } from '../../lib/core/locks.js';
import { busy, granted, listenTo, RedisTrial, until, waitFor } from '../support/redis-trial.js';

/** So long after its last sign of life a place is kept. */
const SILENCE_MS = 1_000;

describe('a release with somebody of another process at the head of the line', () => {
  let trial: RedisTrial;
  let here: LockBackend;
  let there: LockBackend;
  beforeAll(async () => {
    trial = await RedisTrial.open();
  });
  afterEach(() => trial.clear());
  afterAll(() => trial.close());

  async function begin(wish: Partial<Claim> = {}, options = {}): Promise<[Grant, Place, Claim]> {
    here = (await trial.connect(redis(trial.server.url, options))).backend;
    there = (await trial.connect(redis(trial.server.url, options))).backend;
    const claim = trial.claim({ queue: true, ...wish });
    return [await granted(here, trial.claim()), await busy(there, claim), claim];
  }

  async function handedOver(holder: Grant, place: Place): Promise<Grant> {
    const ear = listenTo(place);
    await here.release(holder);
    await until(() => ear.hints > 0, 'the hint');
    return (await place.retry()) as Grant;
  }

  const remainingMs = async (): Promise<number> =>
    (await here.inspect('trial:key'))?.holders[0]?.expiresInMs ?? 0;

  it('[15] brings the lock with the hint, so that the one who waits sends nothing', async () => {
    const [holder, place, claim] = await begin();
    await trial.admin.config('RESETSTAT');
    const grant = await handedOver(holder, place);
    expect(await trial.scriptCalls()).toBe(1);
    expect(grant).toMatchObject({ claim, leaseMs: SILENCE_MS });
    expect(grant.fence > holder.fence).toBe(true);
    expect(await here.inspect('trial:key')).toMatchObject({
      holders: [{ owner: claim.owner, fence: grant.fence }],
      waiting: 0,
    });
  });

  it('[26] gives a first lease that is counted from the last sign of life, and a whole one by its renewal', async () => {
    const [holder, place, claim] = await begin();
    const ear = listenTo(place);
    await sleep(400);
    const beforeMs = trial.clock.now();
    expect(await there.stay?.([claim])).toEqual([false]);
    await sleep(300);
    await here.release(holder);
    await until(() => ear.hints > 0, 'the hint');
    const grant = (await place.retry()) as Grant;
    expect(grant.sentAtMs).toBeGreaterThanOrEqual(beforeMs);
    expect(grant.sentAtMs).toBeLessThan(beforeMs + 100);
    const leftMs = await remainingMs();
    expect(leftMs).toBeLessThanOrEqual(SILENCE_MS - 300 + 1);
    expect(trial.clock.now() + leftMs).toBeGreaterThanOrEqual(grant.sentAtMs + SILENCE_MS - 5);
    expect(await there.renew([grant])).toEqual(['renewed']);
    expect(await remainingMs()).toBeGreaterThan(19_000);
  });

  it('[26] leaves too old a lease alone, and asks for a whole one', async () => {
    const [holder, place] = await begin();
    await sleep(SILENCE_MS / 2 + 50);
    await trial.admin.config('RESETSTAT');
    const grant = await handedOver(holder, place);
    expect(await trial.scriptCalls()).toBe(2);
    expect(grant.leaseMs).toBeUndefined();
    expect(await remainingMs()).toBeGreaterThan(19_000);
  });

  it.each([
    ['is not going to be renewed', { firm: true }],
    ['is shorter than that of a place', { ttlMs: SILENCE_MS - 1 }],
  ])('only hints where the lease %s', async (_why, wish) => {
    const [holder, place] = await begin(wish);
    await here.release(holder);
    expect((await here.inspect('trial:key'))?.holders).toEqual([]);
    expect(((await place.retry()) as Grant).leaseMs).toBeUndefined();
  });

  it('only hints where a lockDelay would be for one who never knew', async () => {
    const [holder] = await begin({}, { lockDelay: '1s' });
    await here.release(holder);
    expect((await here.inspect('trial:key'))?.holders).toEqual([]);
  });

  it('does not hand the lock to a process that does not hear of it', async () => {
    const [holder] = await begin();
    await there.stop();
    await here.release(holder);
    expect(await here.inspect('trial:key')).toMatchObject({ holders: [], waiting: 1 });
  });

  it('does not hand the lock to one who has been abandoned, though a place of its is still there', async () => {
    const [holder, , { key, owner }] = await begin();
    await trial.admin.set(`${lockName(key)}:gone:${owner}`, '', 'PX', 60_000);
    await here.release(holder);
    expect((await here.inspect(key))?.holders).toEqual([]);
  });

  it('[37] holds up the next by one who died with the message under way no longer than by a dead head', async () => {
    const [holder, dead] = await begin();
    const silentSinceMs = performance.now();
    const next = waitFor(here, trial.claim({ queue: true }));
    listenTo(dead);
    await here.release(holder);
    expect(((await next) as { fence?: bigint }).fence).toBeGreaterThan(holder.fence + 1n);
    expect(performance.now() - silentSinceMs).toBeLessThan(SILENCE_MS + 300);
  });

  it('[11] gives a lock back that came for one who had given up', async () => {
    const [holder, , claim] = await begin();
    const next = waitFor(here, trial.claim({ queue: true }));
    await until(async () => (await here.inspect('trial:key'))?.waiting === 2, 'both places');
    await here.release(holder);
    expect((await here.inspect('trial:key'))?.holders).toMatchObject([{ owner: claim.owner }]);
    await there.abandon(claim);
    expect(await next).toHaveProperty('fence');
  });

  it('[27] lasts for its ttl at once for a caller who does not renew, and soon for all others', async () => {
    const [holder, waiter] = [new Locks(redis(trial.server.url)), new Locks(redis(trial.server.url))];
    try {
      for (const [options, atOnce] of [
        [{ ttl: '10s', renew: false }, true],
        [{ ttl: '10s' }, false],
      ] as const) {
        const first = await holder.acquire('key');
        const second = waiter.acquire('key', options);
        await until(async () => (await holder.inspect('key'))?.waiting === 1, 'a place');
        await sleep(100); // until the waiter knows of it
        await first.release();
        const lease = await second;
        expect(lease.expiresInMs > SILENCE_MS).toBe(atOnce);
        await until(() => lease.expiresInMs > 2 * SILENCE_MS, 'the whole ttl');
        expect(await lease.release()).toBe(true);
      }
    } finally {
      await Promise.all([holder.stop(), waiter.stop()]);
    }
  });

  it('[54] counts minHold from when the waiter had it', async () => {
    const [holder, waiter] = [new Locks(redis(trial.server.url)), new Locks(redis(trial.server.url))];
    try {
      const first = await holder.acquire('key');
      const second = waiter.acquire('key', { minHold: '800ms' });
      await sleep(400);
      await first.release();
      await (await second).release();
      const [lingering] = (await holder.inspect('key'))?.holders ?? [];
      expect(lingering).toMatchObject({ state: 'lingering' });
      expect(lingering?.expiresInMs).toBeGreaterThan(700);
    } finally {
      await Promise.all([holder.stop(), waiter.stop()]);
    }
  });
});

describe('a message that was under way for longer than the lease that it brings', () => {
  it('is not believed, though the one who waits has taken a place anew', async () => {
    const trial = await RedisTrial.open();
    const client = new Redis({ port: trial.server.port, protocol: 2 });
    const messages = secondLineOf(client);
    try {
      const { backend: here } = await trial.connect();
      const { backend: there } = await trial.connect(redis(client));
      const holder = await granted(here, trial.claim());
      const place = await busy(there, trial.claim({ queue: true }));
      const ear = listenTo(place);
      await sleep(SILENCE_MS - 100);
      messages().pause();
      await here.release(holder);
      expect((await here.inspect('trial:key'))?.holders).toHaveLength(1);
      await until(async () => (await here.inspect('trial:key')) === null, 'the end of the short lease');
      const next = await granted(here, trial.claim());
      expect(await place.retry()).toBe(place);
      messages().resume();
      await until(() => ear.hints > 0, 'the late message');
      expect(await place.retry()).toBe(place);
      expect(await here.inspect('trial:key')).toMatchObject({ holders: [{ fence: next.fence }] });
    } finally {
      await trial.stopAll();
      client.disconnect();
      await trial.close();
    }
  });
});

describe.each([2, 3] as const)('the answer to a release, with RESP%i', (protocol) => {
  let trial: RedisTrial;
  let client: Redis;
  let here: LockBackend;
  beforeAll(async () => {
    trial = await RedisTrial.open();
  });
  beforeEach(async () => {
    client = new Redis({ port: trial.server.port, protocol, ...onceAgain() });
    here = (await trial.connect(redis(client))).backend;
  });
  afterEach(async () => {
    await trial.clear();
    client.disconnect();
  });
  afterAll(() => trial.close());

  /** Sends a command anew, by itself, for the first time that a script is not known. */
  function onceAgain(): { reconnectOnError: (error: Error) => false | 2 } {
    let again: false | 2 = 2;
    return {
      reconnectOnError: (error) => {
        if (!error.message.startsWith('NOSCRIPT')) return false;
        const now = again;
        again = false;
        return now;
      },
    };
  }

  function namesSent(): string[] {
    const names: string[] = [];
    const send = client.sendCommand.bind(client);
    client.sendCommand = (command, ...rest) => {
      names.push(command.name);
      return send(command, ...rest);
    };
    return names;
  }

  it('comes behind the message to whom the lock was handed', async () => {
    const other = new Redis({ port: trial.server.port, protocol });
    try {
      const messages = protocol === 2 ? secondLineOf(other) : () => other.stream;
      const { backend: there } = await trial.connect(redis(other));
      for (let nth = 0; nth < 5; nth++) {
        const holder = await granted(here, trial.claim());
        const place = await busy(there, trial.claim({ queue: true }));
        const ear = listenTo(place);
        await sleep(20);
        const order: string[] = [];
        client.stream.once('data', () => order.push('answer'));
        messages().once('data', () => order.push('message'));
        expect(await here.release(holder)).toBe('released');
        await until(() => ear.hints > 0, 'the hint');
        expect(order).toEqual(['message', 'answer']);
        await there.release((await place.retry()) as Grant);
      }
    } finally {
      await trial.stopAll();
      other.disconnect();
    }
  });

  it('is asked for by the script alone when the lock was held for a moment only', async () => {
    const grant = await granted(here, trial.claim());
    const names = namesSent();
    expect(await here.release({ ...grant, sentAtMs: Infinity })).toBe('released');
    expect(names).toEqual(['evalsha']);
  });

  it('comes as well when the client sends the script again, which it does by itself', async () => {
    const grant = await granted(here, trial.claim());
    await sleep(5);
    await trial.admin.script('FLUSH');
    const names = namesSent();
    expect(await here.release(grant)).toBe('released');
    expect(names.filter((name) => name === 'time')).toHaveLength(1);
    expect(names.at(-1)).toBe('eval');
    expect(await client.echo('in step')).toBe('in step');
  });
});

/** The socket of the connection that the backend opens for messages. */
function secondLineOf(client: Redis): () => Redis['stream'] {
  const duplicate = client.duplicate.bind(client);
  let line: Redis | undefined;
  client.duplicate = (options) => (line = duplicate(options));
  return () => {
    if (!line) throw new Error('the backend opened no second connection');
    return line.stream;
  };
}

describe('a place that hears that the lock is its own', () => {
  const claim: Claim = { key: 'k', owner: 'o', mode: 'exclusive', take: 1, of: 1, ttlMs: 1, queue: true };
  const grant: Grant = { claim, fence: 1n, sentAtMs: 0 };
  let place: WaitingPlace;
  let stoodAtMs: number | undefined;
  beforeEach(() => {
    stoodAtMs = undefined;
    const backend = {
      ask: () => Promise.resolve(place),
      listen: () => undefined,
      takeOver: (_claim: Claim, _fence: bigint, sentAtMs: number) => {
        stoodAtMs = sentAtMs;
        return grant;
      },
    };
    place = new WaitingPlace(backend, claim, {}, { sentAtMs: 3, aliveUntil: 1_000 });
  });

  it('counts from the sign of life that the message names', async () => {
    place.stoodAt({ sentAtMs: 5, aliveUntil: 1_002 });
    place.hint({ fence: 1n, aliveUntil: 1_002 });
    expect(await place.retry()).toBe(grant);
    expect(stoodAtMs).toBe(5);
  });

  it('asks when that is another than the last that was answered', async () => {
    place.hint({ fence: 1n, aliveUntil: 1_000 });
    place.goesOn({}, { sentAtMs: 5, aliveUntil: 1_002 });
    expect(await place.retry()).toBe(place);
    place.hint({ fence: 1n, aliveUntil: 1_004 });
    expect(await place.retry()).toBe(place);
    expect(stoodAtMs).toBeUndefined();
  });
});
