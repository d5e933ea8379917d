import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { LeaderService, LockService, ShardService, type Duration } from 'nestjs-interlock';
import { redis } from 'nestjs-interlock/redis';
import { RedisServer } from '../support/redis-server.js';
import { until } from '../support/redis-trial.js';

const TTL_MS = 1_000;

interface Replica {
  readonly name: string;
  readonly locks: LockService;
  readonly leaders: LeaderService;
  readonly shards: ShardService;
}

describe('on Redis', () => {
  let server: RedisServer;
  const open: Replica[] = [];
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterEach(async () => {
    for (const replica of open.splice(0)) await close(replica);
  });
  afterAll(() => server.stop());

  async function start(name: string, ttl: Duration = TTL_MS): Promise<Replica> {
    const locks = new LockService(redis(server.url), { prefix: 'test', identity: name });
    const leaders = new LeaderService(locks, { ttl, address: `http://${name}:3000/api` });
    const shards = new ShardService(locks);
    await locks.onModuleInit();
    leaders.onApplicationBootstrap();
    shards.join({ group: 'imports', shards: 16, ttl: TTL_MS });
    shards.onApplicationBootstrap();
    const replica = { name, locks, leaders, shards };
    open.push(replica);
    return replica;
  }

  async function close({ locks, leaders, shards }: Replica): Promise<void> {
    await Promise.all([locks.onModuleDestroy(), leaders.onModuleDestroy(), shards.onModuleDestroy()]);
    await locks.onApplicationShutdown();
  }

  const leave = (replica: Replica): Promise<void> => {
    open.splice(open.indexOf(replica), 1);
    return close(replica);
  };

  /** Who has which shard, with its fence; fails when two have one. */
  function owners(): Map<number, { readonly name: string; readonly fence: bigint }> {
    const found = new Map<number, { readonly name: string; readonly fence: bigint }>();
    for (const { name, shards } of open) {
      for (const { index, fence } of shards.owned('imports')) {
        expect({ index, other: found.get(index)?.name }).toEqual({ index, other: undefined });
        found.set(index, { name, fence });
      }
    }
    return found;
  }

  const isSpread = (most: number, least: number): boolean => {
    const all = owners();
    const counts = open.map(({ name }) => [...all.values()].filter((owner) => owner.name === name).length);
    return all.size === 16 && Math.max(...counts) <= most && Math.min(...counts) >= least;
  };

  it('[54] sixteen shards are spread over 1, 4, 3 and 1 replicas, in time, with the fewest moves', async () => {
    const first = await start('a');
    await until(() => isSpread(16, 16), 'one has them all', 2 * TTL_MS + 1_000);
    let before = owners();
    const settle = async (most: number, least: number, mostMoves: number): Promise<void> => {
      await until(() => isSpread(most, least), `at most ${most} each`, 2 * TTL_MS + 1_000);
      const now = owners();
      const moved = [...now].filter(([index, { name }]) => before.get(index)?.name !== name);
      expect(moved.length).toBeLessThanOrEqual(mostMoves);
      for (const [index, { fence }] of moved) expect(fence > (before.get(index)?.fence ?? 0n)).toBe(true);
      before = now;
    };
    const others: Replica[] = [];
    for (const name of ['b', 'c', 'd']) others.push(await start(name));
    await settle(4, 4, 13);
    await leave(others[0] as Replica);
    await settle(6, 5, 5);
    await Promise.all(others.slice(1).map(leave));
    await settle(16, 16, 11);
    expect(first.shards.owned('imports')).toHaveLength(16);
  });

  it('[51, 53] one leads, whom all others know by name and address', async () => {
    const first = await start('one');
    const second = await start('two');
    await first.leaders.waitForLeadership();
    expect(second.leaders.isLeader()).toBe(false);
    const leader = {
      group: 'default',
      identity: 'one',
      address: 'http://one:3000/api',
      term: first.leaders.term(),
    };
    expect(await second.leaders.whoLeads()).toEqual(leader);
    expect((await second.locks.inspect('leader:default'))?.holders).toMatchObject([{ fence: leader.term }]);
    const elected = second.leaders.waitForLeadership();
    await first.leaders.resign();
    const { term } = await elected;
    expect(term > (leader.term ?? 0n)).toBe(true);
  });

  it('[51] a leadership with the usual ttl goes to the next as soon as its leader resigns', async () => {
    const first = await start('one', '15s');
    await first.leaders.waitForLeadership();
    const second = await start('two', '15s');
    expect(second.leaders.isLeader()).toBe(false);
    await until(
      async () => (await first.locks.inspect('leader:default'))?.waiting === 1,
      'the next candidate',
    );
    await first.leaders.resign();
    await until(() => second.leaders.isLeader(), 'the next leader', 500);
  });
});
