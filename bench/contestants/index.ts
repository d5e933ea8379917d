import { idOf, type Contestant, type Field } from './contestant.js';
import { databases } from './databases.js';

export const interlock: Contestant = {
  name: 'interlock',
  server: 'redis',
  load: async () => (await import('./interlock.js')).openInterlock,
  renews: true,
};

/** The least that can be called a lock; what others are measured by. */
export const bare: Contestant = {
  name: 'bare',
  server: 'redis',
  load: async () => (await import('./bare.js')).openBare,
  renews: false,
};

export const contestants: readonly Contestant[] = [
  interlock,
  bare,
  {
    name: 'redlock',
    server: 'redis',
    load: async () => (await import('./redlock.js')).openRedlock,
    renews: true,
  },
  {
    name: 'redlock-universal',
    server: 'redis',
    load: async () => (await import('./redlock-universal.js')).openRedlockUniversal,
    needs: 'Node 22',
    renews: true,
  },
  {
    name: 'redis-semaphore',
    server: 'redis',
    load: async () => (await import('./redis-semaphore.js')).openRedisSemaphore,
    renews: true,
  },
  {
    name: 'verrou',
    server: 'redis',
    load: async () => (await import('./verrou.js')).openVerrou,
    renews: false,
  },
  {
    name: 'node-redisson',
    server: 'redis',
    load: async () => (await import('./node-redisson.js')).openNodeRedisson,
    renews: true,
    litters: true,
  },
];

export const onRedis: Field = { server: 'redis', contestants, bare };

const everybody = [onRedis, ...databases].flatMap((field) => field.contestants);

export function contestantOf(id: string): Contestant {
  const contestant = everybody.find((candidate) => idOf(candidate) === id);
  if (!contestant) throw new Error(`There is no contestant "${id}".`);
  return contestant;
}
