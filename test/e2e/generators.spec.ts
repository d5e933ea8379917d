import { expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Locked } from 'nestjs-interlock';
import { guardedApp } from '../support/guarded-app.js';

it('[56] @Locked is refused on generators, which work only when the lock has been given back', () => {
  const problem =
    /^@Locked is on Rows\.all, and a generator works only while somebody iterates, without the lock by then; /;
  expect(() => {
    class Rows {
      @Locked('k')
      *all(): Generator<number> {
        yield 1;
      }
    }
    return Rows;
  }).toThrow(problem);
  expect(() => {
    class Rows {
      @Locked('k')
      async *all(): AsyncGenerator<number> {
        yield 1;
      }
    }
    return Rows;
  }).toThrow(problem);
});

it('[56] a locked method that returns the generator of another one fails, and nothing of it has run', async () => {
  let ran = false;

  @Injectable()
  class Rows {
    @Locked('k')
    all(): AsyncGenerator<number> {
      return this.each();
    }

    private async *each(): AsyncGenerator<number> {
      ran = true;
      yield 1;
    }
  }

  const { app } = await guardedApp({ providers: [Rows] });
  await expect(Promise.resolve(app.get(Rows).all())).rejects.toThrow(/generator/);
  expect(ran).toBe(false);
});
