import { fork, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { forgetKeys, withoutPassword } from './redis-server.js';
import { serveStore } from '../shop/remote-seat-store.js';
import type { GuardedSeatStore } from '../shop/seat-store.js';
import type { Cleanup, Replica, Stage } from './stage.js';

/** What a replica is told at its start; by message, as the URL may carry a password. */
export interface Orders {
  readonly name: string;
  readonly prefix: string;
  readonly redisUrl: string;
  readonly storeUrl: string;
  readonly locked: boolean;
}

/** What it answers. */
export interface Ready {
  readonly url: string;
}

const LONGEST_GOODBYE_MS = 2_500;

const replicaFile = fileURLToPath(import.meta.resolve('./replica.process.js'));

/** Three processes, and Redis between them. */
export async function processStage(
  redisUrl: string,
  store: GuardedSeatStore,
  locked: boolean,
  cleanup: Cleanup,
): Promise<Stage> {
  const { url: storeUrl, server } = await serveStore(store);
  cleanup.add(() => {
    server.close();
    server.closeAllConnections();
  });
  const prefix = `ticket-shop-${randomUUID().slice(0, 8)}`;
  cleanup.add(() => forgetKeys(redisUrl, prefix));

  const children: ChildProcess[] = [];
  cleanup.add(() => Promise.all(children.map(dismiss)));
  const start = async (name: string): Promise<Replica & { readonly child: ChildProcess }> => {
    const child = fork(replicaFile, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    children.push(child);
    child.send({ name, prefix, redisUrl, storeUrl, locked } satisfies Orders);
    return { name, url: await readyUrl(child, name), child };
  };
  const [first, second, third] = await Promise.all([
    start('replica-1'),
    start('replica-2'),
    start('replica-3'),
  ]);
  return {
    title: `three processes, ${withoutPassword(redisUrl)}`,
    replicas: [first, second, third],
    accidents: [
      { victim: third, what: 'is killed (SIGKILL)', strike: () => third.child.kill('SIGKILL') },
      {
        victim: second,
        what: 'is suspended (SIGSTOP)',
        strike: () => second.child.kill('SIGSTOP'),
        recover: () => second.child.kill('SIGCONT'),
      },
    ],
  };
}

function readyUrl(child: ChildProcess, name: string): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('message', (message) => resolve((message as Ready).url));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${name} did not start: exit code ${code}.`)));
  });
}

/** Its end of the channel closes, so it shuts down; who does not in time is killed. */
async function dismiss(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  if (child.connected) child.disconnect();
  const timer = setTimeout(() => child.kill('SIGKILL'), LONGEST_GOODBYE_MS);
  await gone;
  clearTimeout(timer);
}
