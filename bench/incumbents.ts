import { Redis } from 'ioredis';
import { LockFactory } from '@verrou/core';
import { redisStore } from '@verrou/core/drivers/redis';
import { Mutex } from 'redis-semaphore';
import Redlock from 'redlock';
import type { ActorPlan, Contestant, Wish } from '../test/faults/matrix/contestant.js';

/** How often those ask again who can only ask. */
const RETRY_MS = 50;

type Use = Pick<Contestant, 'acquire'> & Required<Pick<Contestant, 'guard'>>;

const OPEN: Readonly<Record<string, (client: Redis) => Use>> = {
  redlock: openRedlock,
  'redis-semaphore': openRedisSemaphore,
  verrou: openVerrou,
};

/** The lock libraries that people use today. */
export const INCUMBENTS: readonly string[] = Object.keys(OPEN);

/** One of them, as an application uses it that follows its manual. None has fences. */
export function openIncumbent({ library, backend }: ActorPlan): Contestant {
  const open = OPEN[library];
  if (!open) throw new Error(`There is no library ${library}.`);
  const { host, port } = backend.target as { host: string; port: number };
  const client = new Redis({ host, port });
  client.on('error', () => undefined);
  const use = open(client);
  const counts = { held: 0, waiting: 0, owed: 0 };
  return {
    async acquire(wish) {
      counts.waiting++;
      return use.acquire(wish).finally(() => counts.waiting--);
    },
    guard: use.guard,
    gauges: () => counts,
    close: async () => client.disconnect(),
  };
}

/** Renewed by `using`, as its manual has it for work of unknown length. */
function openRedlock(client: Redis): Use {
  const locksFor = (ttlMs: number, waitMs: number): Redlock => {
    const redlock = new Redlock([client], {
      retryCount: Math.ceil(waitMs / RETRY_MS),
      retryDelay: RETRY_MS,
      automaticExtensionThreshold: ttlMs / 2,
    });
    redlock.on('error', () => undefined);
    return redlock;
  };
  return {
    acquire: ({ key, ttlMs, waitMs }) =>
      new Promise((resolve, reject) => {
        let end = (): void => undefined;
        const ended = new Promise<void>((done) => {
          end = done;
        });
        const work = locksFor(ttlMs, waitMs).using([key], ttlMs, async (signal) => {
          resolve({
            fence: undefined,
            isHeld: () => !signal.aborted,
            onLost: (told) => signal.addEventListener('abort', () => told(String(signal.error ?? 'lost'))),
            release: async () => {
              const wasHeld = !signal.aborted;
              end();
              await work;
              return wasHeld;
            },
          });
          await ended;
        });
        work.catch(reject);
      }),
    guard: ({ key, ttlMs, waitMs }, body) => locksFor(ttlMs, waitMs).using([key], ttlMs, body),
  };
}

function openRedisSemaphore(client: Redis): Use {
  const timesOf = ({ ttlMs, waitMs }: Pick<Wish, 'ttlMs' | 'waitMs'>): object => ({
    lockTimeout: ttlMs,
    acquireTimeout: Math.max(1, waitMs),
    retryInterval: RETRY_MS,
  });
  return {
    acquire: async (wish) => {
      let told = (_reason: string): void => undefined;
      const onLockLost = (error: Error): void => told(error.message);
      const mutex = new Mutex(client, wish.key, { ...timesOf(wish), onLockLost });
      await mutex.acquire();
      return {
        fence: undefined,
        isHeld: () => mutex.isAcquired,
        onLost: (listener) => {
          told = listener;
        },
        release: async () => {
          const wasHeld = mutex.isAcquired;
          await mutex.release();
          return wasHeld;
        },
      };
    },
    // as the first example of its manual, which does not say what to do when it is lost
    guard: async (wish, body) => {
      const mutex = new Mutex(client, wish.key, timesOf(wish));
      await mutex.acquire();
      try {
        return await body();
      } finally {
        await mutex.release();
      }
    },
  };
}

/** It does not renew by itself, and tells of no loss: whoever wants to know has to ask the clock. */
function openVerrou(client: Redis): Use {
  const locks = new LockFactory(redisStore({ connection: client }).factory(), { retry: { delay: RETRY_MS } });
  return {
    acquire: async ({ key, ttlMs, waitMs }) => {
      const lock = locks.createLock(key, ttlMs);
      const isAcquired =
        waitMs === 0 ? await lock.acquireImmediately() : await lock.acquire({ retry: { timeout: waitMs } });
      if (!isAcquired) throw new Error('it was not acquired in time');
      return {
        fence: undefined,
        isHeld: () => !lock.isExpired(),
        onLost: () => undefined,
        release: async () => {
          await lock.release();
          return true;
        },
      };
    },
    guard: async ({ key, ttlMs }, body) => {
      const [isAcquired, result] = await locks.createLock(key, ttlMs).run(body);
      if (!isAcquired) throw new Error('it was not acquired');
      return result;
    },
  };
}
