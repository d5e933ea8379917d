import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  describeLockBackend,
  faulty,
  ManualClock,
  type Fault,
  type FaultyBackend,
} from 'nestjs-interlock/testing';
import type { LockBackend } from '../../lib/backends/lock-backend.js';
import { memory, MemoryServer } from '../../lib/backends/memory/index.js';
import { CollectingRunner } from './collecting-runner.js';
import { busy, claimOf, granted, NotingContext } from './seam-helpers.js';

let clock: ManualClock;
let inner: LockBackend;
let backend: FaultyBackend;

beforeEach(async () => {
  clock = new ManualClock();
  inner = memory();
  backend = faulty(inner);
  await backend.start(new NotingContext(clock));
  backend.reset();
});

async function settles(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.then(
    () => (settled = true),
    () => (settled = true),
  );
  await clock.settle();
  return settled;
}

describe('a faulty backend', () => {
  it('is as good as the one in it while no call is planned to fail', async () => {
    const manual = new ManualClock();
    const server = new MemoryServer({ clock: manual });
    const runner = new CollectingRunner();
    describeLockBackend('faulty', {
      runner,
      traits: { ...memory().traits, stay: true },
      create: () => faulty(memory({ server })),
      clock: manual,
      wait: (ms) => manual.advance(ms),
    });
    expect((await runner.run()).filter(({ error }) => error !== undefined)).toEqual([]);
  });

  it.each<[Fault, { certainty?: string; carriedOut: boolean }]>([
    ['before', { certainty: 'denied', carriedOut: false }],
    ['after', { certainty: 'unknown', carriedOut: true }],
    ['rubbish', { carriedOut: false }],
  ])('fails by %s', async (fault, { certainty, carriedOut }) => {
    backend.plan = { call: 1, fault };
    const claim = claimOf();
    const reason: unknown = await backend.claim(claim).catch((error: unknown) => error);
    expect(reason).toMatchObject({
      name: certainty ? 'BackendError' : 'TypeError',
      ...(certainty && { certainty }),
    });
    expect((await inner.inspect('key')) !== null).toBe(carriedOut);
    expect((await granted(backend.claim(claim))).claim.owner).toBe(claim.owner);
  });

  it.each<[Fault, boolean]>([
    ['hang', false],
    ['hang-after', true],
  ])('never settles by %s', async (fault, carriedOut) => {
    backend.plan = { call: 1, fault };
    expect(await settles(backend.claim(claimOf()))).toBe(false);
    expect((await inner.inspect('key')) !== null).toBe(carriedOut);
  });

  it('throws synchronously', () => {
    backend.plan = { call: 1, fault: 'throw' };
    expect(() => backend.claim(claimOf())).toThrow(TypeError);
  });

  it('loses a denial as well as any other reply', async () => {
    const claim = claimOf();
    await backend.abandon(claim);
    backend.plan = { call: 1, method: 'claim', fault: 'after' };
    await expect(backend.claim(claim)).rejects.toMatchObject({ certainty: 'unknown' });
    await expect(backend.claim(claim)).rejects.toMatchObject({ certainty: 'denied' });
  });

  it('counts over all methods, and by method', async () => {
    backend.plan = [
      { call: 3, fault: 'before' },
      { call: 2, method: 'release', fault: 'before' },
    ];
    const grant = await granted(backend.claim(claimOf()));
    await backend.release(grant);
    await expect(backend.inspect('key')).rejects.toThrow(
      'Planned: the inspect call no. 3 is denied before it is sent.',
    );
    await expect(backend.release(grant)).rejects.toThrow('release call no. 4');
    await expect(backend.inspect('key')).resolves.toBeNull();
  });

  it('counts the retries of its places', async () => {
    await granted(backend.claim(claimOf()));
    const place = await busy(backend.claim(claimOf({ owner: 'waiter' })));
    backend.plan = { call: 2, method: 'retry', fault: 'before' };
    const again = await busy(place.retry());
    await expect(again.retry()).rejects.toMatchObject({ certainty: 'denied' });
    expect(backend.calls.map(({ method, owner }) => [method, owner])).toEqual([
      ['claim', expect.any(String)],
      ['claim', 'waiter'],
      ['retry', 'waiter'],
      ['retry', 'waiter'],
    ]);
  });

  it('fails onward when told so, until the plan is replaced', async () => {
    backend.plan = { call: 2, fault: 'before', onward: true };
    await backend.inspect('key');
    for (let n = 0; n < 3; n++) await expect(backend.inspect('key')).rejects.toThrow('Planned');
    backend.plan = [];
    await expect(backend.inspect('key')).resolves.toBeNull();
  });

  it('asks a function at each call', async () => {
    backend.plan = ({ method, key }) => (method === 'claim' && key === 'bad' ? 'before' : undefined);
    await granted(backend.claim(claimOf({ key: 'good' })));
    await expect(backend.claim(claimOf({ key: 'bad' }))).rejects.toThrow('Planned');
  });

  it('writes down what was called, about what, and how it failed', async () => {
    const claim = claimOf();
    const grant = await granted(backend.claim(claim));
    backend.plan = { call: 1, method: 'renew', fault: 'before' };
    await backend.renew([grant, grant]).catch(() => undefined);
    for await (const _ of backend.list('k'));
    const { key, owner } = claim;
    expect(backend.calls).toEqual([
      { method: 'claim', n: 1, nOfMethod: 1, key, owner, size: 1 },
      { method: 'renew', n: 2, nOfMethod: 1, key, owner, size: 2, fault: 'before' },
      { method: 'list', n: 3, nOfMethod: 1, key: 'k', size: 1 },
    ]);
    backend.reset();
    expect(backend.calls).toEqual([]);
  });
});
