import { collectGarbage } from '../garbage.js';
import { instanceOf } from './instances.js';

export interface CyclesTerms {
  readonly contestant: string;
  readonly key: string;
  readonly times: number;
}

/** Acquires and releases a key so many times, one after the other; how long all of them took, in ms. */
export async function cycles({ contestant, key, times }: CyclesTerms): Promise<number> {
  const locks = await instanceOf(contestant);
  collectGarbage();
  const startedAt = performance.now();
  for (let time = 0; time < times; time++) {
    const release = await locks.acquire(key);
    await release();
  }
  return performance.now() - startedAt;
}
