import { contestantOf } from '../contestants/index.js';
import { TTL_MS, type LockInstance } from '../contestants/contestant.js';

const WARM_UP_CYCLES = 20;

const instances = new Map<string, Promise<LockInstance>>();

/** The server that all this is about; the bench gives it to each process. */
export function serverUrl(): string {
  const url = process.argv[2];
  if (url === undefined) throw new Error('A process of the bench is started with the URL of the server.');
  return url;
}

/** The instance that this process has of a contestant, ready to run. */
export function instanceOf(name: string): Promise<LockInstance> {
  let instance = instances.get(name);
  if (!instance) {
    instance = warmInstance(name);
    instances.set(name, instance);
  }
  return instance;
}

async function warmInstance(name: string): Promise<LockInstance> {
  const open = await contestantOf(name).load();
  const instance = await open(serverUrl(), TTL_MS);
  for (let time = 0; time < WARM_UP_CYCLES; time++) {
    const release = await instance.acquire(`warm-up-of-${process.pid}`);
    await release();
  }
  return instance;
}
