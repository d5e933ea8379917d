/** One of the processes that stand for replicas of an application; told what to do by `replica.ts`. */
import type { Order, Word } from './replica.js';
import { tasks } from './tasks/index.js';

async function follow({ task, terms }: Order): Promise<Word> {
  try {
    const perform = tasks[task] as (terms: unknown) => Promise<unknown>;
    return { answer: await perform(terms) };
  } catch (error) {
    return { failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

process.on('message', (order: Order) => {
  void follow(order).then((word) => process.send?.(word));
});
process.on('disconnect', () => process.exit());
