import { Redis } from 'ioredis';
import { LockFactory } from '@verrou/core';
import { redisStore } from '@verrou/core/drivers/redis';
import { Mutex } from 'redis-semaphore';
import Redlock from 'redlock';
import type { ActorPlan, Contestant, HeldLock, Wish } from '../test/faults/matrix/contestant.js';

/** How often those ask again who can only ask. */
const RETRY_MS = 50;

const OPEN: Readonly<Record<string, (client: Redis) => (wish: Wish) => Promise<HeldLock>>> = {
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
  const acquire = open(client);
  const counts = { held: 0, waiting: 0, owed: 0 };
  return {
    async acquire(wish) {
      counts.waiting++;
      const lock = await acquire(wish).finally(() => counts.waiting--);
      return lock;
    },
    gauges: () => counts,
    close: async () => client.disconnect(),
  };
}

/** Renewed by `using`, as its manual has it for work of unknown length. */
function openRedlock(client: Redis) {
  return ({ key, ttlMs, waitMs }: Wish): Promise<HeldLock> => {
    const redlock = new Redlock([client], {
      retryCount: Math.ceil(waitMs / RETRY_MS),
      retryDelay: RETRY_MS,
      automaticExtensionThreshold: ttlMs / 2,
    });
    redlock.on('error', () => undefined);
    return new Promise((resolve, reject) => {
      let end = (): void => undefined;
      const ended = new Promise<void>((done) => {
        end = done;
      });
      const work = redlock.using([key], ttlMs, async (signal) => {
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
    });
  };
}

function openRedisSemaphore(client: Redis) {
  return async ({ key, ttlMs, waitMs }: Wish): Promise<HeldLock> => {
    let told = (_reason: string): void => undefined;
    const mutex = new Mutex(client, key, {
      lockTimeout: ttlMs,
      acquireTimeout: Math.max(1, waitMs),
      retryInterval: RETRY_MS,
      onLockLost: (error) => told(error.message),
    });
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
  };
}

/** It does not renew by itself, and tells of no loss: whoever wants to know has to ask the clock. */
function openVerrou(client: Redis) {
  const locks = new LockFactory(redisStore({ connection: client }).factory(), { retry: { delay: RETRY_MS } });
  return async ({ key, ttlMs, waitMs }: Wish): Promise<HeldLock> => {
    const lock = locks.createLock(key, ttlMs);
    if (!(await lock.acquire({ retry: { timeout: Math.max(1, waitMs) } })))
      throw new Error('it was not acquired in time');
    return {
      fence: undefined,
      isHeld: () => !lock.isExpired(),
      onLost: () => undefined,
      release: async () => {
        await lock.release();
        return true;
      },
    };
  };
}
