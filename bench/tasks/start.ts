import type { LockBackend } from 'nestjs-interlock';
import { contestantOf } from '../contestants/index.js';
import { TTL_MS } from '../contestants/contestant.js';
import { serverUrl } from './instances.js';

/** From an instance that is not there yet to its first lock, in ms; its code is loaded already. */
export async function firstLock({ contestant }: { readonly contestant: string }): Promise<number> {
  const open = await contestantOf(contestant).load();
  const startedAt = performance.now();
  const locks = await open(serverUrl(), TTL_MS);
  const release = await locks.acquire(`first-of-${process.pid}`);
  const tookMs = performance.now() - startedAt;
  await release();
  return tookMs;
}

export type Locking = 'none' | 'memory' | 'redis';

/** How long an application of one module and one provider takes to be there, in ms. */
export async function startNest({ locking }: { readonly locking: Locking }): Promise<number> {
  await import('reflect-metadata');
  const { NestFactory } = await import('@nestjs/core');
  const { LockModule } = await import('nestjs-interlock');
  const { redis } = await import('nestjs-interlock/redis');
  const startedAt = performance.now();
  const withBackend = (backend?: LockBackend) => LockModule.forRoot(backend ? { backend } : {});
  const imports = {
    none: () => [],
    memory: () => [withBackend()],
    redis: () => [withBackend(redis(serverUrl()))],
  };
  class Shop {}
  const application = { module: Shop, imports: imports[locking]() };
  await NestFactory.createApplicationContext(application, { logger: false });
  return performance.now() - startedAt;
}
