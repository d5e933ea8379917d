import { describe, expect, it } from '@jest/globals';
import { memory } from '../../lib/backends/memory/index.js';
import { LockConfigurationError } from '../../lib/core/errors.js';
import { Locks } from '../../lib/core/locks.js';
import type { GuardOptions, LockOptions } from '../../lib/core/options.js';
import type { LockSettings } from '../../lib/core/settings.js';
import { faulty } from '../../lib/testing/faulty-backend.js';
import { changed, setUp } from '../support/rig.js';

const THERE_ARE =
  'there are ttl, wait, signal, mode, permits, take, renew, minHold, reentrant, pattern, onLost.';

const WRONG_OPTIONS: [unknown, string][] = [
  [{ ttl: -1 }, 'ttl is -1; it must be between 20 ms and 86400000 ms.'],
  [{ ttl: 0 }, 'ttl is 0; it must be between 20 ms and 86400000 ms.'],
  [{ ttl: 19 }, 'ttl is 19; it must be between 20 ms and 86400000 ms.'],
  [{ ttl: '25h' }, 'ttl is "25h"; it must be between 20 ms and 86400000 ms.'],
  [{ ttl: NaN }, `ttl is NaN; give milliseconds as a number, or a text like '30s' or '5 minutes'.`],
  [{ ttl: Infinity }, 'ttl is Infinity; give a whole number of milliseconds.'],
  [{ ttl: 100.5 }, 'ttl is 100.5; give a whole number of milliseconds.'],
  [{ ttl: null }, `ttl is null; give milliseconds as a number, or a text like '30s' or '5 minutes'.`],
  [{ wait: -1 }, 'wait is -1; it must be between 0 ms and 2592000000 ms, or Infinity.'],
  [{ wait: NaN }, `wait is NaN; give milliseconds as a number, or a text like '30s' or '5 minutes'.`],
  [{ wait: 0.5 }, 'wait is 0.5; give a whole number of milliseconds.'],
  [{ wait: -Infinity }, 'wait is -Infinity; give a whole number of milliseconds.'],
  [{ wait: '31 days' }, 'wait is "31 days"; it must be between 0 ms and 2592000000 ms, or Infinity.'],
  [{ signal: {} }, 'signal is an object; give an AbortSignal.'],
  [{ signal: new AbortController() }, 'signal is an object; give an AbortSignal.'],
  [{ signal: null }, 'signal is null; give an AbortSignal.'],
  [{ mode: 'exclusiv' }, `mode is "exclusiv"; give 'exclusive' or 'shared'.`],
  [{ mode: 'permits' }, `mode is "permits"; give 'exclusive' or 'shared'.`],
  [{ mode: null }, `mode is null; give 'exclusive' or 'shared'.`],
  [{ permits: 0 }, 'permits is 0; give a whole number from 1 to 1000000.'],
  [{ permits: -3 }, 'permits is -3; give a whole number from 1 to 1000000.'],
  [{ permits: 2.5 }, 'permits is 2.5; give a whole number from 1 to 1000000.'],
  [{ permits: '3' }, 'permits is "3"; give a whole number from 1 to 1000000.'],
  [{ permits: 1_000_001 }, 'permits is 1000001; give a whole number from 1 to 1000000.'],
  [{ permits: 3, take: 4 }, 'take is 4; give a whole number from 1 to 3.'],
  [{ permits: 3, take: 0 }, 'take is 0; give a whole number from 1 to 3.'],
  [{ take: 1 }, 'take is 1, but permits is not given; say how many permits there are.'],
  [{ permits: 3, mode: 'shared' }, `mode ('shared') and permits (3) exclude each other; give one of them.`],
  [{ renew: 'yes' }, 'renew is "yes"; give true or false.'],
  [{ renew: 0 }, 'renew is 0; give true or false.'],
  [{ reentrant: null }, 'reentrant is null; give true or false.'],
  [{ minHold: -1 }, 'minHold is -1; it must be between 0 ms and 86400000 ms.'],
  [{ minHold: Infinity }, 'minHold is Infinity; give a whole number of milliseconds.'],
  [
    { minHold: '2s', ttl: '1s' },
    'minHold (2000 ms) is longer than ttl (1000 ms), so it would not hold if this process died; set ttl to at least minHold.',
  ],
  [
    { minHold: '31s' },
    'minHold (31000 ms) is longer than ttl (30000 ms), so it would not hold if this process died; set ttl to at least minHold.',
  ],
  [{ onLost: 'ignore' }, `onLost is "ignore"; give 'report' or 'throw'.`],
  [{ tll: 5 }, `There is no option "tll"; ${THERE_ARE}`],
  [{ timeout: 5 }, `There is no option "timeout"; ${THERE_ARE}`],
  [{ ttlMs: undefined }, `There is no option "ttlMs"; ${THERE_ARE}`],
  [JSON.parse('{ "__proto__": {} }'), `There is no option "__proto__"; ${THERE_ARE}`],
  [5, `The options are 5; give an object like { ttl: '30s' }.`],
  ['5s', `The options are "5s"; give an object like { ttl: '30s' }.`],
  [[], `The options are an array; give an object like { ttl: '30s' }.`],
  [null, `The options are null; give an object like { ttl: '30s' }.`],
];

const SETTINGS_ARE =
  'there are prefix, identity, ttl, wait, callTimeout, startTimeout, shutdownTimeout, clock.';

const WRONG_SETTINGS: [unknown, string][] = [
  [{ ttl: 5 }, 'ttl is 5; it must be between 20 ms and 86400000 ms.'],
  [{ wait: 'long' }, `wait is "long"; give milliseconds as a number, or a text like '30s' or '5 minutes'.`],
  [{ callTimeout: 9 }, 'callTimeout is 9; it must be between 10 ms and 60000 ms.'],
  [{ callTimeout: '2m' }, 'callTimeout is "2m"; it must be between 10 ms and 60000 ms.'],
  [{ callTimeout: Infinity }, 'callTimeout is Infinity; give a whole number of milliseconds.'],
  [{ startTimeout: -1 }, 'startTimeout is -1; it must be between 0 ms and 600000 ms.'],
  [{ shutdownTimeout: '11m' }, 'shutdownTimeout is "11m"; it must be between 0 ms and 600000 ms.'],
  [
    { identity: 'a b' },
    'identity is "a b"; give 1 to 64 letters, digits or any of _ . : @ - to name this replica.',
  ],
  [
    { identity: '' },
    'identity is ""; give 1 to 64 letters, digits or any of _ . : @ - to name this replica.',
  ],
  [
    { identity: 'a~b' },
    'identity is "a~b"; give 1 to 64 letters, digits or any of _ . : @ - to name this replica.',
  ],
  [
    { prefix: 'a:b' },
    'prefix is "a:b"; give 1 to 64 letters, digits or any of _ . / @ - (no colon: it separates the prefix from the key).',
  ],
  [{ Ttl: 5_000 }, `There is no setting "Ttl"; ${SETTINGS_ARE}`],
  [{ namespace: 'x' }, `There is no setting "namespace"; ${SETTINGS_ARE}`],
  [5, `The settings are 5; give an object like { ttl: '30s' }.`],
  [null, `The settings are null; give an object like { ttl: '30s' }.`],
];

describe('the options of a call', () => {
  it.each(WRONG_OPTIONS)(
    '[3] %j are refused in a sentence, and nothing is sent',
    async (options, message) => {
      const { locks, backend } = setUp();
      const wrong = options as GuardOptions;
      const error = new LockConfigurationError(message);
      await expect(locks.acquire('k', wrong)).rejects.toThrow(error);
      await expect(locks.using('k', wrong, () => expect('the body').toBe('not run'))).rejects.toThrow(error);
      expect(() => locks.wrap(() => 1, 'k', wrong)).toThrow(error);
      expect(backend.calls).toEqual([]);
    },
  );

  it('[3] tryAcquire never waits, and refuses to be asked for it', async () => {
    const { locks, backend } = setUp();
    await expect(locks.tryAcquire('k', { wait: 5 } as LockOptions)).rejects.toThrow(
      new LockConfigurationError('tryAcquire never waits, so it has no option wait; use acquire.'),
    );
    await expect(locks.tryAcquire('k', { ttl: -1 })).rejects.toThrow(
      new LockConfigurationError('ttl is -1; it must be between 20 ms and 86400000 ms.'),
    );
    expect(backend.calls).toEqual([]);
  });

  it('[3] a body that is no function is refused before the key is locked', async () => {
    const { locks, backend } = setUp();
    await expect(locks.using('k', {}, undefined as unknown as () => void)).rejects.toThrow(
      new LockConfigurationError('using has nothing to run; give it a function as its last argument.'),
    );
    expect(() => locks.wrap(undefined as unknown as () => void, 'k')).toThrow(
      new LockConfigurationError('wrap has no function to wrap.'),
    );
    expect(backend.calls).toEqual([]);
  });

  it('[3] a mode that the backend does not have is refused, with those that it has', async () => {
    const { locks, backend } = setUp({
      between: (inner) =>
        changed(inner, {
          traits: { ...inner.traits, name: 'frugal', modes: ['exclusive'] },
        }),
    });
    await expect(locks.acquire('k', { mode: 'shared' })).rejects.toThrow(
      new LockConfigurationError(
        'The backend "frugal" has no shared locks, only exclusive; use one of these, or another backend.',
      ),
    );
    await expect(locks.tryAcquire('k', { permits: 3 })).rejects.toThrow(LockConfigurationError);
    expect(backend.calls).toEqual([]);
  });

  it('says what is meant by the limits: the smallest and largest of all pass', async () => {
    const { locks } = setUp();
    for (const options of [
      { ttl: 20 },
      { ttl: '24h' },
      { wait: 0 },
      { wait: '30d' },
      { wait: Infinity },
      { permits: 1_000_000, take: 1_000_000 },
      { ttl: '1s', minHold: 0 },
      { ttl: undefined, wait: undefined, signal: undefined, mode: undefined },
    ] as LockOptions[]) {
      const lease = await locks.acquire('k', options);
      expect(await lease.release()).toBe(true);
    }
  });

  it('the defaults of the service apply, unless the call says otherwise', async () => {
    const rig = setUp({ ttl: '2s', wait: 70 });
    const { locks } = rig;
    const lease = await locks.acquire('k', { renew: false });
    expect(lease.expiresInMs).toBeGreaterThan(1_900);
    expect(lease.expiresInMs).toBeLessThan(2_000);
    const startMs = rig.clock.now();
    const refused = rig.watch(locks.acquire('k'));
    await rig.clock.advance(300);
    expect(refused.atMs - startMs).toBe(70);
  });
});

describe('the settings of a service', () => {
  it.each(WRONG_SETTINGS)('[3] %j are refused in a sentence', (settings, message) => {
    expect(() => new Locks(memory(), settings as LockSettings)).toThrow(new LockConfigurationError(message));
  });

  it('[32] an identity is part of every owner, so that people see who holds what', async () => {
    const { locks } = setUp({ identity: 'shop-3:web@eu' });
    const lease = await locks.acquire('k');
    const snapshot = await locks.inspect('k');
    expect(snapshot?.holders[0]?.owner).toMatch(/^shop-3:web@eu~[0-9a-f]{24}-1$/);
    await lease.release();
  });

  it('[32] without one, the identity is made of host and process, in plain characters', async () => {
    const backend = faulty(memory());
    const locks = new Locks(backend);
    await (await locks.acquire('k')).release();
    await locks.stop();
    expect(backend.calls.find(({ method }) => method === 'claim')?.owner).toMatch(
      new RegExp(`^[A-Za-z0-9_.:@-]{1,64}~[0-9a-f]{24}-1$`),
    );
  });
});
