import { memory } from 'nestjs-interlock';
import { faulty } from 'nestjs-interlock/testing';
import { startReplica } from './replica.module.js';
import type { GuardedSeatStore } from './seat-store.js';
import type { Cleanup, Replica, Stage } from './stage.js';

/** Three applications in this process. They share nothing but the backend, which stands for the lock server. */
export async function embeddedStage(
  store: GuardedSeatStore,
  locked: boolean,
  cleanup: Cleanup,
): Promise<Stage> {
  const server = memory();
  const start = async (name: string): Promise<Replica> => {
    const backend = faulty(server);
    const app = await startReplica({ name, prefix: 'ticket-shop', backend, store, locked });
    cleanup.add(() => {
      backend.plan = [];
      return app.close();
    });
    return {
      name,
      url: await app.getUrl(),
      // None of its calls arrives any more, and none is answered: what remains is a process that still runs.
      kill: () => (backend.plan = () => 'hang'),
    };
  };
  return {
    title: 'embedded: one process, no server',
    replicas: [await start('replica-1'), await start('replica-2'), await start('replica-3')],
    killing: 'cut off from the lock server',
    haunted: true,
  };
}
