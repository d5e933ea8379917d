import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RedisSentinelWorld } from '../support/redis-sentinel.js';

describe('a world of Sentinels', () => {
  let world: RedisSentinelWorld;
  beforeAll(async () => {
    world = await RedisSentinelWorld.start();
  });
  afterAll(() => world.stop());

  it('keeps what was written through a clean fail-over', async () => {
    const before = await world.primary();
    await before.call('SET', 'written', '1');
    await before.call('WAIT', 2, 1000);
    const after = await world.failOver();
    expect(after).not.toBe(before);
    expect(await after.call('GET', 'written')).toBe('1');
    await world.settle();
    expect(await world.replicas()).toContain(before);
  });

  it('loses acknowledged writes in a losing one, and the old primary comes back as a replica', async () => {
    const before = await world.primary();
    await before.call('SET', 'kept', '1');
    await before.call('WAIT', 2, 1000);
    const after = await world.losingFailOver(() => before.call('SET', 'lost', '1'));
    expect(await after.call('MGET', 'kept', 'lost')).toEqual(['1', null]);
    await world.heal();
    expect(await world.primary()).toBe(after);
    expect(await world.replicas()).toContain(before);
  });

  it('replaces a primary that is frozen', async () => {
    const before = await world.primary();
    before.freeze();
    const after = await world.successorOf(before);
    await after.call('SET', 'written', '2');
    await world.heal();
    expect(await before.call('GET', 'written')).toBe('2');
  });
});
