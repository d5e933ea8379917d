import { describe, expect, it } from '@jest/globals';
import { LockConfigurationError, LockLostError } from '../../lib/core/errors.js';
import { FAULTS } from '../../lib/testing/faulty-backend.js';
import { changed, count, setUp } from '../support/rig.js';

const NO_HANDLE = 'This is no handle of a lease; pass on what lease.handle() returned, unchanged.';

describe('a handle', () => {
  it('[31] is adopted and released elsewhere', async () => {
    const rig = setUp();
    const there = rig.replica();
    const lease = await rig.locks.acquire('seat', { ttl: '1s', renew: false });
    const handle = lease.handle();
    expect(handle).toMatch(/^[A-Za-z0-9_-]+$/);
    const adopted = await there.locks.adopt(handle);
    expect(adopted).toMatchObject({ key: 'seat', fence: lease.fence, held: true });
    await rig.clock.advance(10_000);
    expect(adopted.held).toBe(true);
    expect(await rig.locks.tryAcquire('seat')).toBeNull();
    expect(await adopted.release()).toBe(true);
    expect(await lease.release()).toBe(false);
  });

  it('[31, 33] a claim of its owner that arrives after its release finds nothing to claim', async () => {
    const rig = setUp();
    const there = rig.replica();
    const lease = await rig.locks.acquire('seat', { ttl: '1s', renew: false });
    const adopted = await there.locks.adopt(lease.handle());
    await adopted.release();
    await rig.clock.settle();
    // the handle does not tell whether one is still under way, so its owner is done with in any case
    expect(count(there.backend, 'abandon')).toBe(1);
    expect(await rig.locks.inspect('seat')).toBeNull();
  });

  it('[31] the one who gave it away does not take the lock back when its own lease runs out', async () => {
    const rig = setUp();
    const there = rig.replica();
    const lease = await rig.locks.acquire('seat', { ttl: '1s', renew: false });
    const { signal } = lease;
    const adopted = await there.locks.adopt(lease.handle());
    await rig.clock.advance(1_000);
    expect(signal.aborted).toBe(true);
    expect(count(rig.backend, 'abandon', 'release')).toBe(0);
    expect((await rig.locks.inspect('seat'))?.holders).toMatchObject([{ fence: adopted.fence }]);
    expect(await adopted.release()).toBe(true);
  });

  it('[31] the one who gave it away may shut down', async () => {
    const rig = setUp();
    const there = rig.replica();
    const lease = await rig.locks.acquire('seat', { ttl: '1s', renew: false });
    const handle = lease.handle();
    await rig.locks.stop();
    expect(lease.signal.reason).toMatchObject({ reason: 'shutdown' });
    const adopted = await there.locks.adopt(handle);
    await rig.clock.advance(5_000);
    expect(await adopted.release()).toBe(true);
  });

  it('[31, 43] carries several keys, every mode, and what was extended', async () => {
    const rig = setUp();
    const there = rig.replica();
    const both = await rig.locks.acquire(['b', 'a'], { renew: false, permits: 5, take: 2 });
    await both.extend('7s');
    const adopted = await there.locks.adopt(both.handle(), { renew: false });
    expect(adopted.keys).toEqual(['a', 'b']);
    expect(adopted.fences).toEqual(both.fences);
    expect(adopted.expiresInMs).toBe(7_000 - 72);
    expect(await rig.locks.tryAcquire('a', { permits: 5, take: 4 })).toBeNull();
    expect(await adopted.release()).toBe(true);
    const shared = await rig.locks.acquire('s', { mode: 'shared', renew: false });
    const reader = await there.locks.adopt(shared.handle());
    expect(await rig.locks.tryAcquire('s')).toBeNull();
    expect(await reader.release()).toBe(true);
  });

  it('[31] of a lock that is not its owner any more is refused as lost', async () => {
    const rig = setUp();
    const lease = await rig.locks.acquire('k', { ttl: '1s', renew: false });
    const handle = lease.handle();
    await rig.clock.advance(1_500);
    await expect(rig.locks.adopt(handle)).rejects.toEqual(
      new LockLostError('The lock "k" of this handle is not its owner\'s any more; acquire it anew.', {
        key: 'k',
        reason: 'gone',
        fence: lease.fence,
      }),
    );
    expect(rig.locks.gauges.held).toBe(0);
  });

  it.each(FAULTS)('[31] is not adopted unless the server confirms it (%s)', async (fault) => {
    const rig = setUp();
    const there = rig.replica({ plan: { method: 'renew', call: 1, fault } });
    const lease = await rig.locks.acquire('k', { renew: false });
    expect(await rig.failure(1_250, there.locks.adopt(lease.handle()))).toMatchObject({
      name: 'LockUnavailableError',
      message: expect.stringMatching(/^Could not adopt "k": /),
    });
    expect(there.locks.gauges.held).toBe(0);
    const adopted = await there.locks.adopt(lease.handle());
    expect(await adopted.release()).toBe(true);
  });

  it('[26] is not adopted when the answer took longer than the lease', async () => {
    const rig = setUp();
    const there = rig.replica({
      between: (inner) =>
        changed(inner, {
          renew: async (...args: Parameters<typeof inner.renew>) => {
            const answer = await inner.renew(...args);
            rig.clock.skip(400);
            return answer;
          },
        }),
    });
    const lease = await rig.locks.acquire('k', { ttl: 300, renew: false });
    await expect(there.locks.adopt(lease.handle())).rejects.toMatchObject({ name: 'LockUnavailableError' });
    expect(there.locks.gauges.held).toBe(0);
  });

  it('[33] is not adopted while the service shuts down', async () => {
    const rig = setUp();
    const there = rig.replica({
      between: (inner) =>
        changed(inner, {
          renew: async (...args: Parameters<typeof inner.renew>) => {
            const answer = await inner.renew(...args);
            stopping = there.locks.stop();
            return answer;
          },
        }),
    });
    let stopping: Promise<void> | undefined;
    const lease = await rig.locks.acquire('k', { renew: false });
    const adopting = rig.watch(there.locks.adopt(lease.handle()));
    await rig.clock.advance(1_000);
    await stopping;
    expect(adopting.error).toMatchObject({ name: 'LockUnavailableError' });
    expect(await lease.release()).toBe(true);
  });

  it.each([
    ['', NO_HANDLE],
    ['seat:12', NO_HANDLE],
    [undefined, NO_HANDLE],
    [{}, NO_HANDLE],
    [encode([]), NO_HANDLE],
    [encode([1]), NO_HANDLE],
    [encode([2, ['k', 'interlock:k', 'o', 'exclusive', 1, 1, 1_000, '1']]), NO_HANDLE],
    [encode([1, ['k', 'interlock:k', 'o', 'exclusive', 1, 1, 1_000, '-1']]), NO_HANDLE],
    [encode([1, ['k', 'interlock:k', 'o', 'exclusive', 1, 1, '1000', '1']]), NO_HANDLE],
    [encode([1, ['k', 'interlock:k', 'o', 'exclusive', 1, 1, -1_000, '1']]), NO_HANDLE],
    [encode([1, ['k', 'interlock:k', 'o', 'any', 1, 1, 1_000, '1']]), NO_HANDLE],
    [encode([1, ['k', 'interlock:k', 'o p', 'exclusive', 1, 1, 1_000, '1']]), NO_HANDLE],
    [encode([1, ['k', 'interlock:k', 'o', 'exclusive', 1, 1, 1_000, '1'], 'x']), NO_HANDLE],
  ])('[3] %j is refused', async (handle, message) => {
    const { locks, backend } = setUp();
    await expect(locks.adopt(handle as string)).rejects.toThrow(new LockConfigurationError(message));
    expect(backend.calls).toEqual([]);
  });

  it('[3, 5] of another prefix, or of a key that is not its own, is refused', async () => {
    const rig = setUp();
    const other = rig.replica({ prefix: 'other' });
    const lease = await other.locks.acquire('k', { renew: false });
    const message =
      'The handle of "k" is from a service with another prefix; adopt it where the prefix is the same.';
    await expect(rig.locks.adopt(lease.handle())).rejects.toThrow(new LockConfigurationError(message));
    const forged = encode([1, ['k', 'interlock:j{x}\0', 'o', 'exclusive', 1, 1, 1_000, '1']]);
    await expect(rig.locks.adopt(forged)).rejects.toThrow(new LockConfigurationError(message));
    expect(rig.backend.calls).toEqual([]);
    await lease.release();
  });

  it('[3] adopt refuses options that are wrong', async () => {
    const { locks } = setUp();
    const lease = await locks.acquire('k');
    await expect(locks.adopt(lease.handle(), { renew: 'no' } as never)).rejects.toThrow(
      new LockConfigurationError('renew is "no"; give true or false.'),
    );
    await lease.release();
  });
});

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
