import { expect, test } from '@jest/globals';
import { SlotFences } from './slot-fences.js';
import { slotOf } from './slots.js';

test.each([
  ['123456789', 12_739],
  ['foo', 12_182],
  ['{foo}:held', 12_182],
  ['a{foo}b{bar}', 12_182],
  ['foo{}{bar}', 8_363],
  ['foo{{bar}}zap', 4_015],
])('the slot of %s is that of the specification', (name, slot) => {
  expect(slotOf(name)).toBe(slot);
});

test.each(['', 'app:', '{app}:'])(
  'with the client prefix "%s", a fence is in the slot of its lock',
  (clientPrefix) => {
    const fences = new SlotFences(clientPrefix);
    const names = new Set<string>();
    for (let i = 0; i < 20_000; i++) {
      const key = `shop:order:${i}`;
      const name = fences.nameFor(key);
      names.add(name);
      expect(slotOf(clientPrefix + name)).toBe(slotOf(`${clientPrefix}{${key}}`));
      if (i % 1000 === 0) expect(fences.nameFor(key)).toBe(name);
    }
    // one for each slot that is in use
    const slots = new Set([...names].map((name) => slotOf(clientPrefix + name)));
    expect(names.size).toBe(slots.size);
  },
);

test('prefixes have fences of their own', () => {
  const fences = new SlotFences('');
  expect(fences.nameFor('shop:a')).toMatch(/^\{shop#\d+\}:fence$/);
  expect(fences.nameFor('bank:a')).toMatch(/^\{bank#\d+\}:fence$/);
});
