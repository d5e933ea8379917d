import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster } from 'ioredis';
import type { Claim, Grant, LockBackend, NodeHealth } from '../../lib/backends/lock-backend.js';
import { redis } from '../../lib/backends/redis/index.js';
import { BackendTrial, type Client } from '../support/backend-trial.js';
import { messagesShareAConnection } from '../support/ioredis-line.js';
import { listed } from '../support/listed.js';
import { RedisClusterWorld } from '../support/redis-cluster.js';
import type { RedisServer } from '../support/redis-server.js';
import { busy, failureOf, granted, listenTo, until, waitFor } from '../support/redis-trial.js';

const modes = [
  { mode: 'exclusive' },
  { mode: 'shared' },
  { mode: 'permits', take: 2, of: 3 },
] as const satisfies readonly Partial<Claim>[];

describe('locks on a Redis cluster', () => {
  const trial = new BackendTrial();
  let world: RedisClusterWorld;
  beforeAll(async () => {
    world = await RedisClusterWorld.start();
  }, 60_000);
  afterEach(async () => {
    await trial.stopAll();
    await world.heal();
    for (const primary of await world.primaries()) await primary.call('FLUSHALL');
  }, 60_000);
  afterAll(() => world.stop());

  const connect = (): Promise<Client> => trial.start(redis({ cluster: world.nodes }));

  it('keeps the last fence in the slot of each lock, once a slot, and goes on above it', async () => {
    const { backend } = await connect();
    const ahead = BigInt(Date.now() + 3_600_000) * 1_000n;
    for (let i = 0; i < 300; i++) {
      const grant = await granted(backend, trial.claim({ key: `trial:${i}` }));
      await backend.release(grant);
    }
    const names = await namesOn(await world.primaries());
    const slots = new Set(await Promise.all(names.map((name) => world.slotOf(name))));
    expect(names.every((name) => /^\{trial#\d+\}:fence$/.test(name))).toBe(true);
    expect(names).toHaveLength(slots.size);

    const slot = await world.slotOf('{trial:7}');
    const [floor] = (await slotsOf(names)).filter((one) => one.slot === slot);
    const primary = await world.primaryOf(slot);
    await primary.call('SET', floor?.name ?? '', String(ahead), 'PX', 60_000);
    const grant = await granted(backend, trial.claim({ key: 'trial:7' }));
    expect(grant.fence).toBe(ahead + 1n);
  });

  it('[28] renews slot by slot, and one that fails leaves the others renewed', async () => {
    const { backend } = await connect();
    const grants: Grant[] = [];
    for (let i = 0; i < 60; i++)
      grants.push(await granted(backend, trial.claim({ ...modes[i % 3], key: `trial:${i % 30}:${i}` })));
    expect(await backend.renew(grants)).toEqual(grants.map(() => 'renewed'));

    const victim = await world.primaryOf('{trial:0:0}');
    const owners = await Promise.all(grants.map(({ claim }) => world.primaryOf(`{${claim.key}}`)));
    await victim.kill();
    const outcomes = await backend.renew(grants);
    expect(outcomes).toEqual(owners.map((owner) => (owner === victim ? 'unknown' : 'renewed')));
  });

  it('lists the locks of all primaries, each one once, and inspects and evicts wherever they are', async () => {
    const { backend } = await connect();
    const keys = Array.from({ length: 90 }, (_, i) => `trial:list:${i}`);
    for (const [i, key] of keys.entries()) await granted(backend, trial.claim({ ...modes[i % 3], key }));
    await granted(backend, trial.claim({ key: 'other:1' }));
    const found = await listed(backend, 'trial:list:');
    expect(found.map(({ key }) => key).sort()).toEqual([...keys].sort());
    for (const key of keys.slice(0, 9)) expect(await backend.evict(key)).toBe(true);
    expect(await listed(backend, 'trial:list:')).toHaveLength(81);
  });

  it('knows all its nodes with their roles, also those that are dead', async () => {
    const { backend } = await connect();
    const [victim] = await world.primaries();
    const before = await backend.nodes();
    expect(before.map(({ role, state }) => `${role} ${state}`).sort()).toEqual([
      ...Array.from({ length: 3 }, () => 'primary up'),
      ...Array.from({ length: 3 }, () => 'replica up'),
    ]);
    expect(before.every(({ latencyMs, version }) => latencyMs! >= 0 && version)).toBe(true);
    await victim!.kill();
    const dead = { node: victim!.address, state: 'down', error: expect.any(String) };
    expect(await backend.nodes()).toContainEqual(expect.objectContaining(dead));
    expect(await backend.nodes()).toHaveLength(6);
  });

  it('tells of the nodes that it knew last while all of them are dead, however often it is asked', async () => {
    const { backend } = await connect();
    await backend.nodes();
    await Promise.all(world.servers.map((server) => server.kill()));
    const answers: (readonly NodeHealth[])[] = [];
    for (let time = 0; time < 50; time++) {
      answers.push(await backend.nodes());
      // the client loses them one after another
      if (time > 25) await sleep(20);
    }
    const sizes = new Set(answers.map(({ length }) => length));
    expect([...sizes]).toEqual([6]);
    expect(answers.flat().every(({ state }) => state === 'down')).toBe(true);
    expect(answers.at(-1)?.map(({ error }) => error)).toEqual(
      world.servers.map(() => expect.stringContaining('ECONNREFUSED')),
    );
  }, 60_000);

  it('[15] needs a connection and a subscription for each primary, and one more connection with RESP2, however many keys are waited for', async () => {
    const { backend } = await connect();
    const before = await connections();
    for (let i = 0; i < 50; i++) {
      await granted(backend, trial.claim({ key: `trial:${i}` }));
      listenTo(await busy(backend, trial.claim({ key: `trial:${i}`, queue: true })));
    }
    const channels = await Promise.all(world.servers.map((server) => server.call('PUBSUB', 'CHANNELS', '*')));
    expect((channels as string[][]).flat()).toHaveLength(3);
    expect(await connections()).toEqual(before);
    expect(before).toHaveLength(messagesShareAConnection() ? 3 : 6);
  });

  it('[45] follows a slot to another primary with every verb', async () => {
    const { backend } = await connect();
    for (const wish of modes) {
      const slot = await world.slotOf('{trial:key}');
      const move = async (): Promise<void> => {
        const from = await world.primaryOf(slot);
        const [to] = (await world.primaries()).filter((server) => server !== from);
        await world.moveSlot(slot, to!);
      };
      const grant = await granted(backend, trial.claim(wish));
      await move();
      expect(await backend.renew([grant])).toEqual(['renewed']);
      await move();
      expect((await backend.inspect('trial:key'))?.holders).toHaveLength(1);
      await move();
      const waiter = trial.claim({ queue: true });
      const place = await busy(backend, waiter);
      const ear = listenTo(place);
      await move();
      expect(await backend.release(grant)).toBe('released');
      await until(() => ear.hints > 0, 'the hint');
      const next = (await place.retry()) as Grant;
      expect(next.fence).toBeGreaterThan(grant.fence);
      await move();
      await backend.abandon(waiter);
      expect(await backend.inspect('trial:key')).toBeNull();
    }
  });

  it.each(modes)(
    '[45] never takes a $mode lock that is on its way to another primary for lost or free',
    async (wish) => {
      const { backend } = await connect();
      const grant = await granted(backend, trial.claim({ ...wish, key: 'trial:moving' }));
      const slot = await world.slotOf('{trial:moving}');
      const from = await world.primaryOf(slot);
      const [to] = (await world.primaries()).filter((server) => server !== from);
      const move = await world.beginMove(slot, to!);
      const names = (await from.call('CLUSTER', 'GETKEYSINSLOT', slot, 100)) as string[];
      for (const name of [undefined, ...names]) {
        if (name) await move.moveKeys([name]);
        const outcome = await backend.renew([grant]).catch(() => ['unknown']);
        expect(outcome).not.toEqual(['gone']);
        const rival = trial.claim({ key: 'trial:moving' });
        const answer = await backend.claim(rival).catch((error: unknown) => error);
        expect(answer).not.toHaveProperty('fence');
        if (answer instanceof Error) expect(answer.name).toBe('BackendError');
        const seen = await backend.inspect('trial:moving').catch((error: unknown) => error);
        expect(seen).not.toBeNull();
      }
      await move.finish();
      expect(await backend.renew([grant])).toEqual(['renewed']);
      expect(await backend.release(grant)).toBe('released');
      await granted(backend, trial.claim({ key: 'trial:moving' }));
    },
  );

  it('[45] works with a primary that took over, and teaches it the scripts', async () => {
    const { backend, doubts } = await connect();
    const grant = await granted(backend, trial.claim());
    const place = await busy(backend, trial.claim({ queue: true }));
    const ear = listenTo(place);
    const before = await world.primaryOf('{trial:key}');
    await before.call('WAIT', 1, 1000);
    await world.failOver(before);
    expect(await backend.renew([grant])).toEqual(['renewed']);
    await until(() => doubts.includes(undefined), 'the doubt');
    await until(() => ear.hints > 0, 'a hint for who waits');
    expect(await backend.release(grant)).toBe('released');
    const next = (await place.retry()) as Grant;
    expect(next.fence).toBeGreaterThan(grant.fence);
  });

  it('[45] goes on with the replica of a primary that died', async () => {
    const { backend, doubts } = await connect();
    const victim = await world.primaryOf('{trial:key}');
    const replica = await world.replicaOf(victim);
    const grant = await granted(backend, trial.claim());
    const next = waitForThroughErrors(backend, trial.claim({ queue: true }));
    await victim.call('WAIT', 1, 1000);
    await victim.kill();
    await world.inOffice(replica);
    await until(() => doubts.includes(undefined), 'the doubt');
    await until(
      async () => (await backend.release(grant).catch(() => 'failed')) === 'released',
      'the release',
      6_000,
    );
    expect((await next).fence).toBeGreaterThan(grant.fence);
  });

  it('[45] leaves a primary that is frozen when its replica has taken over', async () => {
    const { backend } = await connect();
    const victim = await world.primaryOf('{trial:key}');
    const replica = await world.replicaOf(victim);
    const grant = await granted(backend, trial.claim());
    await victim.call('WAIT', 1, 1000);
    victim.freeze();
    await world.inOffice(replica);
    const renewed = async (): Promise<boolean> => {
      const silence = sleep(200, ['unknown']);
      return (await Promise.race([backend.renew([grant]).catch(() => ['failed']), silence]))[0] === 'renewed';
    };
    await until(renewed, 'a renewal by the new primary', 10_000);
  });

  it('[14] goes on listening with the other nodes when one does not tell any more', async () => {
    const { backend } = await connect();
    const holder = await granted(backend, trial.claim());
    const ear = listenTo(await busy(backend, trial.claim({ queue: true })));
    const listening = async (): Promise<RedisServer[]> => {
      const found: RedisServer[] = [];
      for (const server of world.servers) {
        if (!server.alive) continue;
        const channels = (await server.call('PUBSUB', 'CHANNELS', '*')) as string[];
        if (channels.length > 0) found.push(server);
      }
      return found;
    };
    const [first] = await listening();
    await first!.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until(async () => (await listening()).length < 3, 'the end of a subscription');
    const { hints } = ear;
    await backend.release(holder);
    await until(() => ear.hints > hints, 'a hint over the others');
  });

  it('still releases, renews and evicts when it is out of memory', async () => {
    const { backend } = await connect();
    const starve = async (maxmemory: string): Promise<void> => {
      for (const primary of await world.primaries())
        await primary.call('CONFIG', 'SET', 'maxmemory', maxmemory);
    };
    for (const wish of modes) {
      const grant = await granted(backend, trial.claim(wish));
      const other = await granted(backend, trial.claim({ ...wish, key: 'trial:other' }));
      await starve('1');
      try {
        expect(await backend.renew([grant, other])).toEqual(['renewed', 'renewed']);
        expect(await failureOf(backend.claim(trial.claim({ key: 'trial:free' })))).toMatchObject({
          certainty: 'denied',
          message: expect.stringContaining('it is out of memory'),
        });
        expect(await backend.release(grant)).toBe('released');
        expect(await backend.evict('trial:other')).toBe(true);
      } finally {
        await starve('0');
      }
    }
  });

  it('says in a sentence that a slot is not served, at the start and later', async () => {
    const { backend } = await connect();
    const slot = await world.slotOf('{trial:key}');
    const owner = await world.primaryOf(slot);
    for (const server of await world.primaries()) await server.call('CLUSTER', 'DELSLOTS', slot);
    try {
      const { certainty, message } = await failureOf(backend.claim(trial.claim()));
      expect(certainty).toBe('denied');
      expect(message).toContain('the cluster is down, or nobody serves the slot of the key (');
      const refusal = await failureOf(connect());
      expect(refusal.message).toMatch(
        /^The Redis cluster at 127\.0\.0\.1:\d+, .* cannot be used: only 16383 of its 16384 slots are served/,
      );
    } finally {
      await owner.call('CLUSTER', 'ADDSLOTS', slot);
      await owner.call('CLUSTER', 'BUMPEPOCH');
    }
  });

  describe('with a Cluster client of the application', () => {
    const clients: Cluster[] = [];
    const client = (options: object = {}): Cluster => {
      const made = new Cluster(world.nodes, options);
      made.on('error', () => undefined);
      clients.push(made);
      return made;
    };
    afterEach(() => clients.splice(0).forEach((made) => made.disconnect()));

    it.each([
      { what: 'as it comes', options: {} },
      { what: 'with a key prefix', options: { keyPrefix: 'app:' } },
      { what: 'with a key prefix that is a hash tag', options: { keyPrefix: '{app}:' } },
      { what: 'with a key prefix for its nodes', options: { redisOptions: { keyPrefix: 'app:' } } },
      { what: 'that reads from replicas', options: { scaleReads: 'slave' } },
      { what: 'that pipelines by itself', options: { enableAutoPipelining: true } },
      { what: 'that connects lazily', options: { lazyConnect: true } },
    ])('works $what', async ({ options }) => {
      const { backend, reports } = await trial.start(redis(client(options)));
      for (const wish of modes) {
        const keys = Array.from({ length: 20 }, (_, i) => `trial:${wish.mode}:${i}`);
        const grants = await Promise.all(keys.map((key) => granted(backend, trial.claim({ ...wish, key }))));
        expect(await backend.renew(grants)).toEqual(grants.map(() => 'renewed'));
        expect(await listed(backend, `trial:${wish.mode}:`)).toHaveLength(20);
        const ears: { hints: number }[] = [];
        for (const key of keys) ears.push(listenTo(await busy(backend, trial.claim({ key, queue: true }))));
        await Promise.all(grants.map((grant) => backend.release(grant)));
        await until(() => ears.every(({ hints }) => hints > 0), 'all hints');
      }
      expect(reports).toEqual([]);
    });

    it('refuses a key prefix that tears the keys of a lock apart', async () => {
      const { message } = await failureOf(trial.start(redis(client({ keyPrefix: 'a{}' }))));
      expect(message).toContain('scatters the keys of one lock over several slots');
    });

    it('leaves it open, and without a listener of ours', async () => {
      const mine = client();
      await until(() => mine.status === 'ready', 'the connection');
      const events = ['refresh', '+node', 'error', 'end', 'close', 'ready'] as const;
      const count = (): number[] => events.map((event) => mine.listenerCount(event));
      const before = count();
      const { backend } = await trial.start(redis(mine));
      await backend.stop();
      expect(count()).toEqual(before);
      expect(mine.nodes().map((node) => node.listenerCount('message'))).toEqual(mine.nodes().map(() => 0));
      expect(await mine.set('still', 'there')).toBe('OK');
    });
  });

  /** Clients of the three primaries, as far as they are ours. */
  async function connections(): Promise<string[]> {
    const lists = await Promise.all(
      (await world.primaries()).map((server) => server.call('CLIENT', 'LIST', 'TYPE', 'normal')),
    );
    const listening = await Promise.all(
      (await world.primaries()).map((server) => server.call('CLIENT', 'LIST', 'TYPE', 'pubsub')),
    );
    return [...lists, ...listening]
      .flatMap((list) => String(list).split('\n'))
      .filter((line) => /cmd=(evalsha|subscribe|eval|script|time|info)/.test(line))
      .map((line) => /laddr=(\S+)/.exec(line)?.[1] ?? '')
      .sort();
  }

  async function namesOn(servers: readonly RedisServer[]): Promise<string[]> {
    const names = await Promise.all(servers.map((server) => server.call('KEYS', '*')));
    return (names as string[][]).flat();
  }

  async function slotsOf(names: readonly string[]): Promise<{ name: string; slot: number }[]> {
    return Promise.all(names.map(async (name) => ({ name, slot: await world.slotOf(name) })));
  }
});

/** Waits as the core does, which asks again whatever a retry fails with. */
async function waitForThroughErrors(backend: LockBackend, claim: Claim): Promise<Grant> {
  for (;;) {
    try {
      return await waitFor(backend, claim);
    } catch {
      await sleep(50);
    }
  }
}
