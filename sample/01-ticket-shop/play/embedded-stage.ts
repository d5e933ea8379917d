import { memory } from 'nestjs-interlock';
import { faulty, type FaultyBackend } from 'nestjs-interlock/testing';
import { startReplica } from './replica.js';
import type { GuardedSeatStore } from '../shop/seat-store.js';
import type { Cleanup, Replica, Stage } from './stage.js';

/** Three applications in this process. They share nothing but the store, and the lock server inside the process. */
export async function embeddedStage(
  store: GuardedSeatStore,
  locked: boolean,
  cleanup: Cleanup,
): Promise<Stage> {
  const server = memory();
  const start = async (name: string): Promise<Replica & { readonly backend: FaultyBackend }> => {
    const backend = faulty(server);
    const app = await startReplica({ name, prefix: 'ticket-shop', backend, store, locked });
    cleanup.add(() => app.close());
    return { name, url: await app.getUrl(), backend };
  };
  const first = await start('replica-1');
  const second = await start('replica-2');
  const third = await start('replica-3');
  return {
    title: 'embedded: one process, no server',
    replicas: [first, second, third],
    accidents: [
      {
        victim: third,
        what: 'is cut off from the lock server',
        // No call arrives any more, and none is answered.
        strike: () => (third.backend.plan = () => 'hang'),
        recover: () => (third.backend.plan = []),
      },
    ],
  };
}
