import type { RedisServer } from './redis-server.js';

/** The replicas lose their connection, and may not come back; all other clients notice nothing. */
export async function stopReplication(primary: RedisServer): Promise<void> {
  await primary.call('ACL', 'SETUSER', 'default', '-psync', '-sync');
  await primary.call('CLIENT', 'KILL', 'TYPE', 'replica');
}

/** See {@link stopReplication}; the replicas are back within a second. */
export async function resumeReplication(primary: RedisServer): Promise<void> {
  await primary.call('ACL', 'SETUSER', 'default', '+psync', '+sync');
}
