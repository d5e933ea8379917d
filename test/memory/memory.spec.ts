import { beforeEach, describe, expect, it } from '@jest/globals';
import { ManualClock } from 'nestjs-interlock/testing';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { memory, MemoryServer } from '../../lib/backends/memory/index.js';
import { busy, claimOf, granted, NotingContext } from '../testing/seam-helpers.js';

const MINUTE_MS = 60_000;

let clock: ManualClock;
let context: NotingContext;
let server: MemoryServer;
let backend: LockBackend;

beforeEach(async () => {
  clock = new ManualClock();
  context = new NotingContext(clock);
  server = new MemoryServer();
  backend = memory({ server });
  await backend.start(context);
});

describe('time', () => {
  it('holds a lease until its ttl, to the millisecond', async () => {
    await granted(backend.claim(claimOf({ ttlMs: 1_000 })));
    await clock.advance(999);
    const place = await busy(backend.claim(claimOf()));
    expect(place.busy.expiresInMs).toBe(1);
    await clock.advance(1);
    await granted(place.retry());
  });

  it('skips a head that is silent for a second, to the millisecond, and says when', async () => {
    const holder = await granted(backend.claim(claimOf()));
    await busy(backend.claim(claimOf()));
    await clock.advance(400);
    const second = await busy(backend.claim(claimOf()));
    await backend.release(holder);
    const { busy: told } = await busy(second.retry());
    expect(told).toEqual({ expiresInMs: 600, ahead: 1 });
    await clock.advance(599);
    await busy(second.retry());
    await clock.advance(1);
    await granted(second.retry());
  });

  it('says that asking again is worth while when the last reader is due, or the first permit', async () => {
    for (const [n, ttlMs] of [300, 900].entries()) {
      await granted(backend.claim(claimOf({ mode: 'shared', of: 0, ttlMs, key: 'read' })));
      await granted(backend.claim(claimOf({ mode: 'permits', of: 2, ttlMs, key: 'permit', owner: `p${n}` })));
    }
    expect((await busy(backend.claim(claimOf({ key: 'read' })))).busy.expiresInMs).toBe(900);
    const third = await busy(backend.claim(claimOf({ mode: 'permits', of: 2, key: 'permit' })));
    expect(third.busy.expiresInMs).toBe(300);
  });

  it('sets no timers', async () => {
    await granted(backend.claim(claimOf()));
    (await busy(backend.claim(claimOf()))).onHint(() => undefined);
    expect(clock.pendingTimers).toBe(0);
  });

  it('goes by its own clock when it is given one', async () => {
    const own = new ManualClock();
    const other = memory({ clock: own });
    await other.start(context);
    await granted(other.claim(claimOf({ ttlMs: 1_000 })));
    await clock.advance(5_000);
    await busy(other.claim(claimOf()));
    await own.advance(1_000);
    const grant = await granted(other.claim(claimOf()));
    expect(grant.sentAtMs).toBe(5_000);
  });
});

describe('hints', () => {
  it('are given outside of the call that causes them', async () => {
    const holder = await granted(backend.claim(claimOf()));
    let hints = 0;
    (await busy(backend.claim(claimOf()))).onHint(() => hints++);
    const released = backend.release(holder);
    expect(hints).toBe(0);
    await released;
    await clock.settle();
    expect(hints).toBe(1);
  });

  it('report a callback that throws, and nothing else suffers', async () => {
    const holder = await granted(backend.claim(claimOf()));
    const place = await busy(backend.claim(claimOf()));
    place.onHint(() => {
      throw new Error('from a waiter');
    });
    await backend.release(holder);
    await clock.settle();
    expect(context.reports).toEqual([new Error('from a waiter')]);
    await granted(place.retry());
  });

  it('reach a waiter who was dropped and came back', async () => {
    const holder = await granted(backend.claim(claimOf()));
    const place = await busy(backend.claim(claimOf()));
    let hints = 0;
    place.onHint(() => hints++);
    await clock.advance(2_000);
    expect((await backend.inspect('key'))?.waiting).toBe(0);
    await busy(place.retry());
    await backend.release(holder);
    await clock.settle();
    expect(hints).toBe(1);
  });
});

describe('memory', () => {
  it('is free of keys that nobody holds', async () => {
    for (let n = 0; n < 100; n++) {
      await backend.release(await granted(backend.claim(claimOf({ key: `key-${n}` }))));
    }
    expect(server.size.keys).toBe(0);
  });

  it('is swept of keys that expired unseen', async () => {
    for (let n = 0; n < 100; n++) await granted(backend.claim(claimOf({ key: `key-${n}`, ttlMs: 1_000 })));
    expect(server.size.keys).toBe(100);
    await clock.advance(1_000);
    for (let n = 0; n < 60; n++) await granted(backend.claim(claimOf({ key: 'busy', owner: 'same' })));
    expect(server.size.keys).toBe(1);
  });

  it('remembers who abandoned for at least a minute, and forgets them within three', async () => {
    const claim = claimOf();
    await backend.abandon(claim);
    await clock.advance(MINUTE_MS - 1);
    await expect(backend.claim(claim)).rejects.toMatchObject({ certainty: 'denied' });
    await clock.advance(2 * MINUTE_MS);
    await granted(backend.claim(claim));
    expect(server.size.marks).toBe(0);
  });

  it('has a limit on who it remembers', async () => {
    for (let n = 0; n < 5_000; n++) await backend.release(await granted(backend.claim(claimOf())));
    expect(server.size.marks).toBeLessThanOrEqual(2_000);
  });

  it('says released again to a release whose answer was lost', async () => {
    const grant = await granted(backend.claim(claimOf()));
    expect(await backend.release(grant)).toBe('released');
    expect(await backend.release(grant)).toBe('released');
    expect(await backend.release(await granted(backend.claim(claimOf())), 1_000)).toBe('released');
  });
});

describe('the line', () => {
  it('lets a zero-wait reader join readers who wait for nobody but themselves', async () => {
    const writer = await granted(backend.claim(claimOf()));
    const reader = await busy(backend.claim(claimOf({ mode: 'shared', of: 0 })));
    await backend.release(writer);
    await granted(backend.claim(claimOf({ mode: 'shared', of: 0, queue: false })));
    await granted(reader.retry());
  });

  it('denies a request for more permits than there are, which would block the line for ever', async () => {
    await expect(backend.claim(claimOf({ mode: 'permits', take: 3, of: 2 }))).rejects.toThrow(
      'Nobody can take 3 of 2 permits of "key"; take at most 2.',
    );
    expect(server.size.keys).toBe(0);
  });
});

describe('one instance for several services', () => {
  it('excludes them from each other, and doubts for all of them', async () => {
    const second = new NotingContext(clock);
    await backend.start(second);
    const { claim } = await granted(backend.claim(claimOf()));
    await busy(backend.claim(claimOf()));
    const evicted = backend.evict('key');
    expect(second.doubts).toEqual([]);
    expect(await evicted).toBe(true);
    await clock.settle();
    expect([context.doubts, second.doubts]).toEqual([[claim.owner], [claim.owner]]);
  });

  it('works until the last of them has stopped it', async () => {
    await backend.start(new NotingContext(clock));
    await backend.stop();
    const grant = await granted(backend.claim(claimOf()));
    await backend.stop();
    await backend.stop();
    await expect(backend.renew([grant])).rejects.toMatchObject({ name: 'BackendError', certainty: 'denied' });
    expect(await backend.nodes()).toEqual([expect.objectContaining({ state: 'down' })]);
  });

  it('keeps what is held when it is started again, as a server would', async () => {
    await granted(backend.claim(claimOf()));
    await backend.stop();
    await backend.start(context);
    await busy(backend.claim(claimOf()));
  });

  it('refuses a second service with another clock', async () => {
    await expect(backend.start(new NotingContext(new ManualClock(5_000)))).rejects.toThrow(
      'One memory() backend was given to two services whose clocks differ; give them one clock, or each its own memory({ server }) on one MemoryServer.',
    );
  });
});

describe('several backends on one server', () => {
  it('exclude each other, each by its own clock', async () => {
    const late = new ManualClock(3_600_000);
    const other = memory({ server });
    await other.start(new NotingContext(late));
    await granted(backend.claim(claimOf({ ttlMs: 1_000 })));
    const place = await busy(other.claim(claimOf()));
    await clock.advance(1_000);
    expect((await granted(place.retry())).sentAtMs).toBe(3_600_000);
  });
});

describe('misuse', () => {
  it('is denied before the start, in a sentence', async () => {
    await expect(memory().claim(claimOf())).rejects.toMatchObject({
      name: 'BackendError',
      certainty: 'denied',
      message: 'The memory backend is not running: start it before use, and stop it after.',
    });
  });
});
