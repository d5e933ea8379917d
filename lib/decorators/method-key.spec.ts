import { expect, it } from '@jest/globals';
import { Locked } from './locked.decorator.js';

it('a position beyond the parameters is refused, when the class is defined', () => {
  expect(() => {
    class Seats {
      @Locked('seat:<2>')
      sell(_seat: string, _buyer = 'nobody'): void {}
    }
    return Seats;
  }).toThrow(
    '<2> in the key of the lock on Seats.sell is beyond its parameters (there are 2); the first one is <0>.',
  );
});

it('a position among the parameters is not, nor one of a rest', () => {
  class Seats {
    @Locked('seat:<1>')
    sell(_seat: string, _buyer = 'nobody'): void {}

    @Locked('seat:<3.id>')
    sellAll(..._seats: object[]): void {}
  }
  expect(Seats).toBeDefined();
});
