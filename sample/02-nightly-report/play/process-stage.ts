import { fork, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { forgetKeys, withoutPassword } from '../../01-ticket-shop/play/redis-server.js';
import type { Cleanup } from '../../01-ticket-shop/play/stage.js';
import type { Happening } from '../report/happening.js';
import type { Chronicle, Replica, Stage } from './stage.js';

/** What a replica is told at its start; by message, as the URL may carry a password. */
export interface Orders {
  readonly name: string;
  readonly prefix: string;
  readonly redisUrl: string;
}

/** What it says: that it is there, or what it did. */
export type News = 'ready' | Happening;

const LONGEST_GOODBYE_MS = 2_500;

const replicaFile = fileURLToPath(import.meta.resolve('./replica.process.js'));

/** Four processes, and Redis between them. */
export async function processStage(
  redisUrl: string,
  names: readonly string[],
  chronicle: Chronicle,
  cleanup: Cleanup,
): Promise<Stage> {
  const prefix = `nightly-report-${randomUUID().slice(0, 8)}`;
  cleanup.add(() => forgetKeys(redisUrl, prefix));
  const children: ChildProcess[] = [];
  cleanup.add(() => Promise.all(children.map(dismiss)));
  const start = async (name: string): Promise<Replica> => {
    const child = fork(replicaFile, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    children.push(child);
    child.send({ name, prefix, redisUrl } satisfies Orders);
    await listen(child, name, chronicle);
    return { name, resign: () => child.send('resign'), strike: () => child.kill('SIGKILL') };
  };
  return {
    title: `four processes, ${withoutPassword(redisUrl)}`,
    accident: 'is killed (SIGKILL)',
    replicas: await Promise.all(names.map(start)),
  };
}

/** Resolves when it is ready; whatever it tells goes into the chronicle. */
function listen(child: ChildProcess, name: string, chronicle: Chronicle): Promise<void> {
  return new Promise((resolve, reject) => {
    child.on('message', (message) => {
      const news = message as News;
      if (news === 'ready') resolve();
      else chronicle.push({ ...news, replica: name });
    });
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
