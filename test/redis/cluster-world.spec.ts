import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RedisClusterWorld } from '../support/redis-cluster.js';
import type { RedisServer } from '../support/redis-server.js';

describe('a world of a cluster', () => {
  let world: RedisClusterWorld;
  beforeAll(async () => {
    world = await RedisClusterWorld.start();
  });
  afterAll(() => world.stop());

  const elsewhere = async (key: string): Promise<[home: RedisServer, other: RedisServer]> => {
    const home = await world.primaryOf(key);
    const other = (await world.primaries()).find((server) => server !== home);
    if (!other) throw new Error('there is only one primary');
    return [home, other];
  };

  it('keeps what was written through a clean fail-over', async () => {
    const before = await world.primaryOf('a');
    await before.call('SET', 'a', '1');
    const after = await world.failOver(before);
    expect(await after.call('GET', 'a')).toBe('1');
    await world.settle();
    expect(await world.primaryOf('a')).toBe(after);
    expect(await world.replicaOf(after)).toBe(before);
  });

  it('loses acknowledged writes in a losing one, and the old primary comes back as a replica', async () => {
    const before = await world.primaryOf('a');
    await before.call('SET', '{a}:kept', '1');
    await before.call('WAIT', 1, 1000);
    const after = await world.losingFailOver(before, () => before.call('SET', '{a}:lost', '1'));
    expect(await after.call('MGET', '{a}:kept', '{a}:lost')).toEqual(['1', null]);
    await world.heal();
    expect(await world.primaryOf('a')).toBe(after);
    expect(await world.replicaOf(after)).toBe(before);
  });

  it('replaces a primary that is frozen', async () => {
    const before = await world.primaryOf('b');
    const replica = await world.replicaOf(before);
    before.freeze();
    const after = await world.inOffice(replica);
    await after.call('SET', 'b', '2');
    await world.heal();
    expect(await world.replicaOf(after)).toBe(before);
  });

  it('moves a slot, by way of ASK and TRYAGAIN', async () => {
    const [from, to] = await elsewhere('c');
    const slot = await world.slotOf('c');
    for (const name of ['{c}:1', '{c}:2']) await from.call('SET', name, '1');
    const move = await world.beginMove(slot, to);
    await move.moveKeys(['{c}:1']);
    await expect(from.call('GET', '{c}:1')).rejects.toThrow(`ASK ${slot} ${to.address}`);
    await expect(from.call('MGET', '{c}:1', '{c}:2')).rejects.toThrow('TRYAGAIN');
    await expect(to.call('GET', '{c}:1')).rejects.toThrow(`MOVED ${slot} ${from.address}`);
    await move.moveKeys();
    await move.finish();
    await world.settle();
    expect(await world.primaryOf(slot)).toBe(to);
    expect(await to.call('MGET', '{c}:1', '{c}:2')).toEqual(['1', '1']);
    await expect(from.call('GET', '{c}:1')).rejects.toThrow(`MOVED ${slot} ${to.address}`);
  });
});
