import { expect, it } from '@jest/globals';
import { Ahead } from './ahead.js';

it('begins so many pieces at a time, and tells a failure to whoever asks for that piece', async () => {
  const begun: number[] = [];
  const ahead = new Ahead(
    Array.from({ length: 4 }, (_, nth) => async () => {
      begun.push(nth);
      if (nth === 1) throw new Error('broken');
    }),
    2,
  );
  await ahead.result(0);
  expect(begun).toEqual([0, 1]);
  await expect(ahead.result(1)).rejects.toThrow('broken');
  expect(begun).toEqual([0, 1, 2]);
  await ahead.result(3);
  expect(begun).toEqual([0, 1, 2, 3]);
});
