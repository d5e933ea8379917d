/** One of the processes that stand for replicas of an application; told what to do by `crowd.ts`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { commandsSent } from './command-count.js';
import { contestants } from './contestants/index.js';
import type { LockInstance } from './contestants/contestant.js';
import type { Order, Word } from './crowd.js';
import { cycle } from './disciplines/sequential.js';

const instances = new Map<string, LockInstance>();

async function instanceOf(name: string, url: string): Promise<LockInstance> {
  const known = instances.get(name);
  if (known) return known;
  const contestant = contestants.find((candidate) => candidate.name === name);
  if (!contestant) throw new Error(`There is no contestant "${name}".`);
  const instance = await contestant.open(url);
  await cycle(instance, `warm-up-of-${process.pid}`, 20);
  instances.set(name, instance);
  return instance;
}

async function follow(order: Order): Promise<Word> {
  if (order.say === 'prepare') {
    await instanceOf(order.contestant, order.url);
    return { say: 'prepared' };
  }
  const { key, callers, startAt } = order;
  const locks = await instanceOf(order.contestant, order.url);
  await sleep(Math.max(0, startAt - now()));
  const before = commandsSent();
  await Promise.all(Array.from({ length: callers }, () => cycle(locks, key, 1)));
  return { say: 'done', endedAt: now(), calls: commandsSent() - before };
}

/** One clock for all processes of a machine. */
function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

process.on('message', (order: Order) => {
  follow(order).then(
    (word) => process.send?.(word),
    (error: unknown) => process.send?.({ say: 'failed', why: String(error) } satisfies Word),
  );
});
process.on('disconnect', () => process.exit());
