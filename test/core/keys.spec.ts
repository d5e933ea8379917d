import { describe, expect, it } from '@jest/globals';
import { LockConfigurationError, LockKeyError } from '../../lib/core/errors.js';
import { canonicalKey, canonicalKeys, checkPrefix } from '../../lib/core/key.js';
import { HOSTILE_KEYS } from '../support/hostile-keys.js';
import { setUp } from '../support/rig.js';

describe('keys', () => {
  it('[4] distinct keys stay distinct, whatever a server does with case, Unicode forms and length', () => {
    expect(new Set(HOSTILE_KEYS).size).toBe(HOSTILE_KEYS.length);
    const canonical = HOSTILE_KEYS.map((key) => canonicalKey('app', key));
    expect(new Set(canonical).size).toBe(HOSTILE_KEYS.length);
    // what a server might fold, after the plain ones, which differ by bytes that no server changes
    const shortened = canonical.filter((key) => key.includes('~')).map((key) => key.split('~')[1]);
    expect(new Set(shortened).size).toBe(shortened.length);
  });

  it('[4] every canonical key is short and plain, and equal keys have equal ones', () => {
    for (const key of HOSTILE_KEYS) {
      expect(canonicalKey('app', key)).toMatch(/^app:[A-Za-z0-9_.:/@~-]{1,200}$/);
      expect(canonicalKey('app', key)).toBe(canonicalKey('app', `${key}x`.slice(0, -1)));
    }
  });

  it('[4] no key can pretend to be the short form of another', () => {
    const long = 'x'.repeat(300);
    const short = canonicalKey('app', long).slice('app:'.length);
    expect(canonicalKey('app', short)).not.toBe(canonicalKey('app', long));
  });

  it('[4] a plain key stays readable, an unusual one keeps its readable beginning', () => {
    expect(canonicalKey('app', 'seat:12/row@hall-3.a_b')).toBe('app:seat:12/row@hall-3.a_b');
    expect(canonicalKey('app', 'größe {1}')).toMatch(/^app:gr__e__1_~[0-9a-f]{64}$/);
  });

  it('[4] hostile keys are locked one by one, without meeting', async () => {
    const { locks } = setUp();
    const leases = [];
    for (const key of HOSTILE_KEYS) leases.push(await locks.acquire(key, { wait: 0 }));
    expect(locks.gauges.held).toBe(HOSTILE_KEYS.length);
    for (const key of HOSTILE_KEYS) expect(await locks.tryAcquire(key)).toBeNull();
    expect(leases.map((lease) => lease.key)).toEqual(HOSTILE_KEYS);
    for (const lease of leases) expect(await lease.release()).toBe(true);
  });

  it('[5] the prefix isolates, and no key of one prefix reaches into another', async () => {
    const one = setUp({ prefix: 'one' });
    const two = one.replica({ prefix: 'two' });
    const held = await one.locks.acquire('a');
    expect(await two.locks.tryAcquire('a')).not.toBeNull();
    expect(await two.locks.tryAcquire('one:a')).not.toBeNull();
    expect(canonicalKey('a', 'b:c')).not.toBe(canonicalKey('a/b', 'c'));
    expect(await held.release()).toBe(true);
  });

  it.each([
    ['', `prefix is ""; give`],
    ['a:b', `prefix is "a:b"; give`],
    ['a b', `prefix is "a b"; give`],
    ['{a}', `prefix is "{a}"; give`],
    ['~', `prefix is "~"; give`],
    ['x'.repeat(65), `prefix is "${'x'.repeat(65)}"; give`],
    [5, 'prefix is 5; give'],
    [null, 'prefix is null; give'],
  ])('[3] the prefix %p is refused', (prefix, start) => {
    expect(() => checkPrefix(prefix)).toThrow(
      new LockConfigurationError(
        `${start} 1 to 64 letters, digits or any of _ . / @ - (no colon: it separates the prefix from the key).`,
      ),
    );
  });

  it.each([
    ['', "A lock's key is empty; name what is to be locked, like 'order:42'."],
    [undefined, "A lock's key is a text or a list of texts, and this one is undefined."],
    [null, "A lock's key is a text or a list of texts, and this one is null."],
    [42, "A lock's key is a text or a list of texts, and this one is 42."],
    [{ id: 1 }, "A lock's key is a text or a list of texts, and this one is an object."],
    [[], 'The list of keys is empty; name at least one.'],
    [['a', ''], "A lock's key is empty; name what is to be locked, like 'order:42'."],
    [['a', undefined], "A lock's key is a text, and this one is undefined."],
    [['a', 42], "A lock's key is a text, and this one is 42."],
    [[['a']], "A lock's key is a text, and this one is an array."],
    // a hole, as in [, 'a']
    [Object.assign(['a', 'b'], { length: 3 }), "A lock's key is a text, and this one is undefined."],
  ])('[3] the key %p is refused in a sentence', (keys, message) => {
    expect(() => canonicalKeys('app', keys)).toThrow(new LockKeyError(message));
  });

  it('[3] a wrong key is refused before anything is sent', async () => {
    const { locks, backend } = setUp();
    for (const call of [
      () => locks.acquire(''),
      () => locks.tryAcquire(['a', '']),
      () => locks.using('', () => 1),
      () => locks.inspect(''),
      () => locks.forceRelease(''),
      () => locks.acquire(undefined as unknown as string),
    ]) {
      await expect(call()).rejects.toThrow(LockKeyError);
    }
    expect(backend.calls).toEqual([]);
  });

  it('[43] several keys are without duplicates, and in an order that does not depend on the caller', () => {
    const one = canonicalKeys('app', ['b', 'ä', 'a', 'b', 'B']);
    const two = canonicalKeys('app', ['B', 'a', 'b', 'ä']);
    expect(one).toEqual(two);
    expect(one.map(({ name }) => name).sort()).toEqual(['B', 'a', 'b', 'ä']);
  });
});
