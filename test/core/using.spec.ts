import { describe, expect, it } from '@jest/globals';
import { LockLostError, LockTimeoutError } from '../../lib/core/errors.js';
import { FAULTS } from '../../lib/testing/faulty-backend.js';
import { count, setUp } from '../support/rig.js';

/** Throws anything, as JavaScript can. */
function raise(thrown: unknown): never {
  throw thrown as Error;
}

describe('using', () => {
  it("[7] returns the body's value, the same object, and gives the key back", async () => {
    const { locks } = setUp();
    const value = { seat: 12 };
    expect(await locks.using('k', async () => value)).toBe(value);
    expect(await locks.using('k', () => value)).toBe(value);
    expect(await locks.using('k', { ttl: '1s' }, () => undefined)).toBeUndefined();
    expect(locks.gauges.held).toBe(0);
    expect(await locks.inspect('k')).toBeNull();
  });

  it.each([
    ['an error', new Error('sold out')],
    ['a lock error of its own', new LockTimeoutError('other', { key: 'other', waitedMs: 3 })],
    ['a text', 'no error at all'],
    ['undefined', undefined],
  ])("[7, 58] rethrows the body's error, the same object: %s", async (_, thrown) => {
    const rig = setUp();
    const rejecting = async (): Promise<never> => raise(thrown);
    expect(await rig.failure(0, rig.locks.using('k', rejecting))).toBe(thrown);
    expect(
      await rig.failure(
        0,
        rig.locks.using('k', () => raise(thrown)),
      ),
    ).toBe(thrown);
    expect(rig.locks.gauges.held).toBe(0);
  });

  it.each(FAULTS)('[7] a release that fails (%s) masks neither the value nor the error', async (fault) => {
    const rig = setUp({ plan: (call) => (call.method === 'release' ? fault : undefined) });
    const value = {};
    const thrown = new Error('sold out');
    expect(
      await rig.within(
        1_250,
        rig.locks.using('a', () => value),
      ),
    ).toBe(value);
    const failing = rig.locks.using('b', () => {
      throw thrown;
    });
    expect(await rig.failure(1_250, failing)).toBe(thrown);
    const failed = rig.events.filter(({ type }) => type === 'release-failed');
    expect(failed).toMatchObject([{ key: 'a' }, { key: 'b' }]);
  });

  it.each(FAULTS)('[7] a loss that is noticed late (%s) leaves the value as it is', async (fault) => {
    const rig = setUp({ plan: (call) => (call.method === 'renew' ? fault : undefined) });
    const value = {};
    const result = rig.locks.using('k', { ttl: 300 }, async (lease) => {
      await rig.clock.advance(400);
      expect(lease.signal.aborted).toBe(true);
      return value;
    });
    expect(await result).toBe(value);
  });

  it("[7] with onLost: 'throw', a loss is an error, unless the body has one of its own", async () => {
    const rig = setUp();
    const evicted = async (): Promise<string> => {
      await rig.locks.forceRelease('k');
      await rig.clock.settle();
      return 'done';
    };
    const options = { onLost: 'throw' } as const;
    const lost = await rig.failure(5, rig.locks.using('k', options, evicted));
    expect(lost).toBeInstanceOf(LockLostError);
    expect(lost).toMatchObject({ key: 'k', reason: 'gone' });
    const thrown = new Error('own');
    const failing = rig.locks.using('k', options, async () => {
      await evicted();
      throw thrown;
    });
    expect(await rig.failure(5, failing)).toBe(thrown);
    expect(await rig.locks.using('k', options, () => 'held to the end')).toBe('held to the end');
  });

  it("[7, 25] with onLost: 'throw', a body that blocked the event loop past the ttl is an error", async () => {
    const rig = setUp();
    const blocked = rig.locks.using('k', { onLost: 'throw', ttl: 500 }, () => rig.clock.skip(600));
    expect(await rig.failure(0, blocked)).toMatchObject({ name: 'LockLostError', reason: 'silent' });
  });

  it('[56] never runs the body without the lock', async () => {
    const rig = setUp();
    const held = await rig.locks.acquire('k');
    let runs = 0;
    const body = (): number => ++runs;
    expect(await rig.failure(300, rig.locks.using('k', { wait: 100 }, body))).toBeInstanceOf(
      LockTimeoutError,
    );
    await held.release();
    expect(runs).toBe(0);
  });

  it('[8] await using releases once; a second release or dispose is harmless, and says the same', async () => {
    const rig = setUp();
    let leaked;
    {
      await using lease = await rig.locks.acquire('k');
      leaked = lease;
      expect(lease.held).toBe(true);
    }
    expect(leaked.held).toBe(false);
    expect(await leaked.release()).toBe(true);
    await leaked[Symbol.asyncDispose]();
    expect(await leaked.release()).toBe(true);
    expect(count(rig.backend, 'release')).toBe(1);
  });

  it('[8] a dispose never throws: what fails is an event', async () => {
    const rig = setUp({ plan: (call) => (call.method === 'release' ? 'before' : undefined) });
    const lease = await rig.locks.acquire('k');
    await rig.within(1_250, lease[Symbol.asyncDispose]());
    expect(rig.events.filter(({ type }) => type === 'release-failed')).toHaveLength(1);
    await expect(lease.release()).rejects.toThrow(
      'The release of "k" was not confirmed: Planned: the release call no.',
    );
  });

  it('wrap locks by a key made of the arguments, and hands the arguments on', async () => {
    const rig = setUp();
    const sell = rig.locks.wrap(
      async (seat: string, buyer: string) => `${buyer} has ${seat}, ${(await rig.locks.inspect(seat))?.mode}`,
      (seat) => seat,
      { wait: 0 },
    );
    expect(await sell('seat:1', 'Ada')).toBe('Ada has seat:1, exclusive');
    const fixed = rig.locks.wrap(() => rig.locks.gauges.held, ['a', 'b']);
    expect(await fixed()).toBe(2);
  });

  it('[3] wrap rejects, and runs nothing, when its key function throws or makes no key', async () => {
    const rig = setUp();
    let runs = 0;
    const broken = rig.locks.wrap(
      (_order: { id?: string }) => ++runs,
      (order) => order.id as string,
    );
    await expect(broken({})).rejects.toMatchObject({ name: 'LockKeyError' });
    await expect(broken(null as unknown as object)).rejects.toThrow(TypeError);
    expect(runs).toBe(0);
    expect(rig.backend.calls).toEqual([]);
  });
});
