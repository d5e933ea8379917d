import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Claim, Grant, LockBackend, Place } from '../../lib/backends/lock-backend.js';
import { busy, failureOf, granted, listenTo, RedisTrial, until } from '../support/redis-trial.js';

describe('a claim right behind a release of the same key, on one backend', () => {
  let trial: RedisTrial;
  beforeAll(async () => {
    trial = await RedisTrial.open();
  });
  afterEach(() => trial.clear());
  afterAll(() => trial.close());

  interface Outcome {
    readonly released: Promise<'released' | 'gone'>;
    readonly next: Promise<Grant | Place>;
  }

  /** As the core does it: both in one turn of the event loop. */
  function handOn(backend: LockBackend, grant: Grant, claim: Claim): Outcome {
    return { released: backend.release(grant, 0, true), next: backend.claim(claim) };
  }

  it('is one step of the server, with a higher fence and a lease of its own', async () => {
    const { backend } = await trial.connect();
    const first = await granted(backend, trial.claim());
    await trial.admin.config('RESETSTAT');
    const claim = trial.claim({ ttlMs: 5000 });
    const { released, next } = handOn(backend, first, claim);
    expect(await released).toBe('released');
    const second = (await next) as Grant;
    expect(second).toMatchObject({ claim, fence: expect.any(BigInt), sentAtMs: expect.any(Number) });
    expect(second.fence > first.fence).toBe(true);
    expect(await trial.scriptCalls()).toBe(1);
    const snapshot = await backend.inspect('trial:key');
    expect(snapshot?.holders).toMatchObject([{ owner: claim.owner, fence: second.fence }]);
    expect(snapshot?.holders[0]?.expiresInMs).toBeLessThanOrEqual(5000);
    expect(await backend.release(first)).toBe('gone');
    expect(await backend.release(second)).toBe('released');
  });

  it('lets whoever has the lock now go on before who gave it back', async () => {
    const { backend } = await trial.connect();
    const { released, next } = handOn(backend, await granted(backend, trial.claim()), trial.claim());
    const order: string[] = [];
    const comesBack = released.then((outcome) => order.push(outcome));
    // so many turns later it is with the caller of the core
    const goesOn = next
      .then(later)
      .then(later)
      .then(() => order.push('granted'));
    await Promise.all([comesBack, goesOn]);
    expect(order).toEqual(['granted', 'released']);
  });

  it('does not pass by somebody elsewhere who waits', async () => {
    const [here, elsewhere] = [await trial.connect(), await trial.connect()];
    const first = await granted(here.backend, trial.claim());
    const claim = trial.claim({ queue: true });
    const patient = await busy(elsewhere.backend, claim);
    const ear = listenTo(patient);
    const { released, next } = handOn(here.backend, first, trial.claim({ queue: true }));
    expect(await released).toBe('released');
    expect(await next).toMatchObject({ busy: { holder: claim.owner } });
    await until(() => ear.hints === 1, 'the hint');
    expect(await patient.retry()).toMatchObject({ fence: expect.any(BigInt) });
  });

  it('takes the head of the line out of it when that is who claims', async () => {
    const { backend } = await trial.connect();
    const first = await granted(backend, trial.claim());
    const place = await busy(backend, trial.claim({ queue: true }));
    expect(await trial.names()).toEqual(['{trial:key}', '{trial:key}:beat', '{trial:key}:line']);
    const released = backend.release(first, 0, true);
    expect(await place.retry()).toMatchObject({ fence: expect.any(BigInt) });
    expect(await released).toBe('released');
    expect(await trial.names()).toEqual(['{trial:key}']);
  });

  it('is decided apart from a release that comes too late', async () => {
    const { backend } = await trial.connect();
    const first = await granted(backend, trial.claim());
    await backend.evict('trial:key');
    const freed = handOn(backend, first, trial.claim());
    expect(await freed.released).toBe('gone');
    const second = (await freed.next) as Grant;
    expect(second.fence > first.fence).toBe(true);

    const taken = handOn(backend, first, trial.claim());
    expect(await taken.released).toBe('gone');
    expect(await taken.next).toMatchObject({ busy: { holder: second.claim.owner } });
  });

  it('was released, though nobody is there any more to claim anew when somebody else was ahead', async () => {
    const [here, elsewhere] = [await trial.connect(), await trial.connect()];
    const first = await granted(here.backend, trial.claim());
    await busy(elsewhere.backend, trial.claim({ queue: true }));
    const { released, next } = handOn(here.backend, first, trial.claim({ queue: true }));
    const refused = failureOf(next);
    const stopped = here.backend.stop();
    expect(await released).toBe('released');
    expect(await refused).toMatchObject({ certainty: 'denied' });
    await stopped;
  });

  it('is refused when its owner has given up already, and the release holds', async () => {
    const { backend } = await trial.connect();
    const first = await granted(backend, trial.claim());
    const claim = trial.claim();
    await backend.abandon(claim);
    const { released, next } = handOn(backend, first, claim);
    const failure = failureOf(next);
    expect(await released).toBe('released');
    expect(await failure).toMatchObject({ certainty: 'denied' });
    expect(await trial.names()).toEqual([]);
  });

  it('is refused by a server that is out of memory, and the release holds', async () => {
    const { backend } = await trial.connect();
    const first = await granted(backend, trial.claim());
    await trial.admin.config('SET', 'maxmemory', '1');
    try {
      const { released, next } = handOn(backend, first, trial.claim());
      const failure = failureOf(next);
      expect(await released).toBe('released');
      expect(await failure).toMatchObject({ certainty: 'denied', message: expect.stringContaining('OOM') });
    } finally {
      await trial.admin.config('SET', 'maxmemory', '0');
    }
    expect(await trial.names()).toEqual([]);
  });

  it('is left alone by other keys and modes', async () => {
    const { backend } = await trial.connect();
    const first = await granted(backend, trial.claim());
    const others = {
      released: backend.release(first, 0, true),
      next: backend.claim(trial.claim({ key: 'trial:b' })),
    };
    const shared = backend.claim(trial.claim({ mode: 'shared' }));
    expect(await others.released).toBe('released');
    expect(await others.next).toMatchObject({ claim: { key: 'trial:b' } });
    expect(await shared).toMatchObject({ claim: { mode: 'shared' } });
    expect(await trial.names()).toEqual(['{trial:b}', '{trial:key}:group', '{trial:key}:held']);
  });

  it('is not needed: the lock is given back without one', async () => {
    const { backend } = await trial.connect();
    const first = await granted(backend, trial.claim());
    expect(await backend.release(first, 0, true)).toBe('released');
    const late = await granted(backend, trial.claim());
    expect(late.fence > first.fence).toBe(true);
  });
});

/** One promise later. */
function later<T>(value: T): Promise<T> {
  return Promise.resolve(value);
}
