import { describe, expect, it } from '@jest/globals';
import { LockConfigurationError, LockKeyError } from './errors.js';
import { KeyTemplate } from './key-template.js';

/** The key of a template for the values by their names. */
const fill = (text: string, values: Record<string, unknown>): string =>
  new KeyTemplate(text, 'Seats.sell').fill(({ head }) => values[head]);

const refusal = (make: () => unknown): string => {
  try {
    make();
  } catch (error) {
    expect(error).toBeInstanceOf(LockConfigurationError);
    return (error as Error).message;
  }
  throw new Error('It was not refused.');
};

const keyError = (text: string, values: Record<string, unknown>): string => {
  try {
    return `no error, but the key ${fill(text, values)}`;
  } catch (error) {
    expect(error).toBeInstanceOf(LockKeyError);
    expect((error as LockKeyError).key).toBe(text);
    return (error as Error).message;
  }
};

describe('a key template', () => {
  it.each([
    ['seats', {}, 'seats'],
    ['seat:<id>', { id: 'a7' }, 'seat:a7'],
    ['seat:<id>:sold', { id: 7 }, 'seat:7:sold'],
    ['<id>', { id: 'x' }, 'x'],
    ['seat:<0>:<1>', { 0: 'a', 1: 'b' }, 'seat:a:b'],
    ['order:<order.id>', { order: { id: 7n } }, 'order:7'],
    ['order:<order.items.0.sku>', { order: { items: [{ sku: 's' }] } }, 'order:s'],
    ['<a>:<a>', { a: 1 }, '1:1'],
    ['<flag>', { flag: false }, 'false'],
    ['<n>', { n: 0 }, '0'],
    ['<n>', { n: -0 }, '0'],
    ['<n>', { n: 1e21 }, '1e+21'],
    ['<x-tenant>', { 'x-tenant': 't' }, 't'],
    ['<$a>:<_b>:<é>', { $a: 1, _b: 2, é: 3 }, '1:2:3'],
  ])('%s is filled from %j', (text, values, key) => {
    expect(fill(text, values)).toBe(key);
  });

  it.each([
    ['undefined', undefined, 'undefined'],
    ['null', null, 'null'],
    ['NaN', NaN, 'NaN'],
    ['Infinity', Infinity, 'Infinity'],
    ['an empty text', '', 'an empty text'],
    ['an object', {}, 'an object'],
    ['a list', ['a'], 'an array'],
    ['a function', (): string => 'a', 'function'],
    ['a symbol', Symbol('a'), 'Symbol(a)'],
    ['a text object', new String('a'), 'an object'],
    ['one that would make a text of itself', { toString: () => 'a' }, 'an object'],
    ['a Date', new Date(0), 'an object (a Date; say which part of it counts, by a function as the key)'],
  ])('refuses %s', (_what, value, shown) => {
    const message = keyError('order:<id>', { id: value });
    expect(message).toContain(`Seats.sell has no key for "order:<id>": <id> is ${shown}`);
    expect(message).toMatch(
      /A <id> must be a text that is not empty, a finite number, a bigint or a boolean\. Nothing has run\.$/,
    );
    expect(keyError('order:<order.id>', { order: { id: value } })).toContain(`<order.id> is ${shown}`);
  });

  it('refuses a path that leads nowhere, and says where it ended', () => {
    expect(keyError('<a.b.c>', { a: {} })).toContain('a.b is undefined, which has no "c"');
    expect(keyError('<a.b.c>', { a: { b: null } })).toContain('a.b is null, which has no "c"');
    expect(keyError('<a.b>', {})).toContain('a is undefined, which has no "b"');
    expect(keyError('<a.length>', { a: 'text' })).toContain('a is "text", which has no "length"');
    expect(keyError('<a.toString>', { a: {} })).toContain('<a.toString> is function toString');
  });

  it('says long values shortly', () => {
    expect(keyError('<a.b>', { a: 'x'.repeat(1_000_000) }).length).toBeLessThan(400);
  });

  it.each([
    ['', "Seats.sell has an empty key; name what is to be locked, like 'order:<id>'."],
    [
      'seat:<id',
      `The key "seat:<id" of Seats.sell has a "<" or ">" without its counterpart; they enclose placeholders, like in 'order:<id>'.`,
    ],
    [
      'seat:id>',
      `The key "seat:id>" of Seats.sell has a "<" or ">" without its counterpart; they enclose placeholders, like in 'order:<id>'.`,
    ],
    [
      'seat:<>',
      '<> in the key "seat:<>" of Seats.sell is no placeholder; write <name>, <name.path>, <0> or <0.path>.',
    ],
    [
      '<a b>',
      '<a b> in the key "<a b>" of Seats.sell is no placeholder; write <name>, <name.path>, <0> or <0.path>.',
    ],
    [
      '<a.>',
      '<a.> in the key "<a.>" of Seats.sell is no placeholder; write <name>, <name.path>, <0> or <0.path>.',
    ],
    [
      '<01>',
      '<01> in the key "<01>" of Seats.sell is no placeholder; write <name>, <name.path>, <0> or <0.path>.',
    ],
    [
      '<a.__proto__>',
      '<a.__proto__> in the key "<a.__proto__>" of Seats.sell goes through __proto__, which belongs to the class and not to the value; name a property of the value.',
    ],
    [
      '<constructor>',
      '<constructor> in the key "<constructor>" of Seats.sell goes through constructor, which belongs to the class and not to the value; name a property of the value.',
    ],
    [
      '<a.prototype.x>',
      '<a.prototype.x> in the key "<a.prototype.x>" of Seats.sell goes through prototype, which belongs to the class and not to the value; name a property of the value.',
    ],
    [
      '<a><b>',
      `The key "<a><b>" of Seats.sell has nothing between two placeholders, so different values could make the same key; separate them by a sign, like in '<a>:<b>'.`,
    ],
    [
      '<a>and<b>',
      `The key "<a>and<b>" of Seats.sell has only "and" between two placeholders, so different values could make the same key; separate them by a sign, like in '<a>:<b>'.`,
    ],
    [
      '<a>%<b>',
      `The key "<a>%<b>" of Seats.sell has only "%" between two placeholders, so different values could make the same key; separate them by a sign, like in '<a>:<b>'.`,
    ],
  ])('%j is refused at its definition, in a sentence', (text, message) => {
    expect(refusal(() => new KeyTemplate(text, 'Seats.sell'))).toBe(message);
  });

  it('[4] never makes one key of different values, whatever is in them and between them', () => {
    const pieces = [
      'a',
      'b',
      ':',
      '/',
      '%',
      '%3A',
      '%25',
      '-',
      'x',
      '_',
      '__',
      '🪑',
      '\ud83e',
      '\0',
      '…',
      '<',
      ' ',
    ];
    const values = [...new Set([...pieces, ...pieces.flatMap((one) => pieces.map((two) => one + two))])];
    for (const text of [
      '<0>:<1>',
      '<0>-<1>',
      '<0>/x/<1>',
      '<0>__<1>',
      '<0>…<1>',
      '<0>🪑<1>',
      '<0>a-a<1>',
      '<0> <1>',
    ]) {
      const template = new KeyTemplate(text, 'Seats.sell');
      const keys = new Map<string, string>();
      for (const one of values) {
        for (const two of values) {
          const key = template.fill(({ head }) => (head === '0' ? one : two));
          const pair = JSON.stringify([one, two]);
          if (keys.has(key)) expect([text, key, keys.get(key)]).toEqual([text, key, pair]);
          keys.set(key, pair);
        }
      }
      expect(keys.size).toBe(values.length ** 2);
    }
  });

  it('[4] keeps what cannot be mistaken, and encodes what could', () => {
    expect(fill('<a>:<b>', { a: 'a:b', b: 'c' })).toBe('a%3Ab:c');
    expect(fill('<a>:<b>', { a: 'a', b: 'b:c' })).toBe('a:b%3Ac');
    // else it could be taken for a key of 'seat:<a>:<b>'
    expect(fill('seat:<a>', { a: 'a:b' })).toBe('seat:a%3Ab');
    expect(fill('<a>-<b>', { a: 'x-y', b: '50%' })).toBe('x%2Dy-50%25');
    expect(fill('seat:<a>', { a: 'x-y é <b> 🪑' })).toBe('seat:x-y é <b> 🪑');
    expect(fill('seat:<a>', { a: '../../etc' })).toBe('seat:..%2F..%2Fetc');
    expect(fill('<a>…<b>', { a: '…', b: 1 })).toBe('%u2026…1');
    expect(fill('<a>', { a: '__proto__' })).toBe('__proto__');
  });

  it('reads a value once, and passes on what a getter throws', () => {
    let reads = 0;
    const order = {
      get id(): number {
        return ++reads;
      },
      get broken(): never {
        throw new RangeError('mine');
      },
    };
    expect(fill('<order.id>', { order })).toBe('1');
    expect(() => fill('<order.broken>', { order })).toThrow(new RangeError('mine'));
  });
});
