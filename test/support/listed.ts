import type { LockBackend, LockSnapshot } from '../../lib/backends/lock-backend.js';

/** All that a backend lists, without the steps that came upon nothing. */
export async function listed(backend: LockBackend, prefix = ''): Promise<LockSnapshot[]> {
  const found: LockSnapshot[] = [];
  for await (const snapshot of backend.list(prefix)) if (snapshot) found.push(snapshot);
  return found;
}

/** The keys of these, in order. */
export async function listedKeys(backend: LockBackend, prefix?: string): Promise<string[]> {
  return (await listed(backend, prefix)).map(({ key }) => key).sort();
}
