import { lockOf, lockPattern } from './key-names.js';
import { keyPrefixOf } from './redis-client.js';
import type { RedisConnection } from './redis-connection.js';

const PAGE = '250';

/** The keys of locks that start with `prefix`, primary by primary, page by page; some more than once, as SCAN has it. */
export async function* scanLocks(connection: RedisConnection, prefix: string): AsyncGenerator<string[]> {
  const clientPrefix = keyPrefixOf(connection.client);
  const pattern = lockPattern(clientPrefix, prefix);
  for (const node of connection.servers.primaries()) {
    let cursor = '0';
    do {
      const [next, names] = await connection.scan(node, cursor, pattern, PAGE);
      cursor = next;
      const keys = names.map((name) => lockOf(name.slice(clientPrefix.length)));
      yield keys.filter((key) => key !== undefined);
    } while (cursor !== '0');
  }
}
