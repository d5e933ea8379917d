import type { Contestant } from './contestant.js';

export const interlock: Contestant = {
  name: 'interlock',
  load: async () => (await import('./interlock.js')).openInterlock,
  renews: true,
};

/** The least that can be called a lock; what others are measured by. */
export const bare: Contestant = {
  name: 'bare',
  load: async () => (await import('./bare.js')).openBare,
  renews: false,
};

export const contestants: readonly Contestant[] = [
  interlock,
  bare,
  { name: 'redlock', load: async () => (await import('./redlock.js')).openRedlock, renews: true },
  {
    name: 'redlock-universal',
    load: async () => (await import('./redlock-universal.js')).openRedlockUniversal,
    needs: 'Node 22',
    renews: true,
  },
  {
    name: 'redis-semaphore',
    load: async () => (await import('./redis-semaphore.js')).openRedisSemaphore,
    renews: true,
  },
  { name: 'verrou', load: async () => (await import('./verrou.js')).openVerrou, renews: false },
  {
    name: 'node-redisson',
    load: async () => (await import('./node-redisson.js')).openNodeRedisson,
    renews: true,
    litters: true,
  },
];

export function contestantOf(name: string): Contestant {
  const contestant = contestants.find((candidate) => candidate.name === name);
  if (!contestant) throw new Error(`There is no contestant "${name}".`);
  return contestant;
}
