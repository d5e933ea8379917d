import { expect, test } from '@jest/globals';
import { Chain, type Link } from './chain.js';

class Knot implements Link<Knot> {
  before: Knot | undefined;
  after: Knot | undefined;
  constructor(readonly name: string) {}
}

function chainOf(names: string): { chain: Chain<Knot>; knots: Knot[]; names: () => string } {
  const chain = new Chain<Knot>();
  const knots = Array.from(names, (name) => new Knot(name));
  for (const knot of knots) chain.add(knot);
  return {
    chain,
    knots,
    names: () =>
      chain
        .toArray()
        .map(({ name }) => name)
        .join(''),
  };
}

test('they stand in the order in which they came', () => {
  const { chain, names } = chainOf('abc');

  expect([names(), chain.size, chain.first?.name, chain.last?.name]).toEqual(['abc', 3, 'a', 'c']);
});

test.each([
  [0, 'bcd'],
  [1, 'acd'],
  [3, 'abc'],
])('number %i can leave', (index, left) => {
  const { chain, knots, names } = chainOf('abcd');
  const knot = knots[index] as Knot;

  expect(chain.delete(knot)).toBe(true);
  expect([names(), chain.size, chain.first?.name, chain.last?.name]).toEqual([left, 3, left[0], left[2]]);
  expect([knot.before, knot.after]).toEqual([undefined, undefined]);
});

test('the last one leaves nothing behind', () => {
  const { chain, knots } = chainOf('ab');
  for (const knot of knots) chain.delete(knot);

  expect([chain.size, chain.first, chain.last, chain.toArray()]).toEqual([0, undefined, undefined, []]);
});

test('who left can come back, at the end', () => {
  const { chain, knots, names } = chainOf('abc');
  chain.delete(knots[0] as Knot);
  chain.add(knots[0] as Knot);

  expect(names()).toBe('bca');
});

test.each(['', 'a', 'ab'])('who does not stand in %j cannot leave it', (others) => {
  const { chain, names } = chainOf(others);
  const stranger = new Knot('x');

  expect([chain.delete(stranger), names(), chain.size]).toEqual([false, others, others.length]);
});
