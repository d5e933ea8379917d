import type { Redis } from 'ioredis';

/** The keys on a server that would stay for ever: there may be none, at any time. */
export async function endlessKeys(client: Redis): Promise<string[]> {
  const names = await client.keys('*');
  const left = await Promise.all(names.map((name) => client.pttl(name)));
  return names.filter((_name, at) => left[at] === -1).map((name) => `${name} (without an expiry)`);
}
