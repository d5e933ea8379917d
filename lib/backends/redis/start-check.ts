import { BackendError } from '../backend-error.js';
import type { RedisNode } from './redis-client.js';
import { allowedScript, allScripts } from './redis-script.js';
import { assertUsable, evictionWarnings, parseInfo, type RedisMode } from './redis-server-info.js';

/** Clocks that differ by less are taken to agree: an answer may have been under way for long. */
const CLOCK_GRAIN_MS = 10_000;

/**
 * Teaches a server the scripts. Rejects, in a sentence, one that cannot keep locks; resolves with what had better be
 * known of it.
 */
export async function checkServer(
  node: RedisNode,
  address: string,
  expected: RedisMode,
): Promise<readonly Error[]> {
  const info = parseInfo(await node.info());
  assertUsable(info, address, expected);
  await Promise.all(allScripts.map((script) => script.load(node)));
  const [permissions, clock] = await Promise.all([
    checkPermissions(node, address),
    checkClock(node, address),
  ]);
  return [...evictionWarnings(info, address), ...permissions, ...clock];
}

/** A user may be allowed some commands and not others; better to know now than with the first waiter. */
async function checkPermissions(node: RedisNode, address: string): Promise<readonly Error[]> {
  const refused = (await node.eval(allowedScript.source, 0, 'interlock:allowed')) as string[];
  const needed = refused.filter((command) => command !== 'PUBLISH');
  if (needed.length > 0) {
    throw new BackendError(
      `Redis at ${address} cannot be used: the user's ACL does not allow ${needed.join(', ')}, which the locks need.`,
      'denied',
    );
  }
  if (refused.length === 0) return [];
  const message = `Redis at ${address} does not let us publish to channels "interlock:*", so waiting falls back to polling: allow PUBLISH and &interlock:* in the user's ACL.`;
  return [new BackendError(message, 'denied')];
}

/** For information: locks go by the server's clock alone, but whoever compares logs would like to know. */
async function checkClock(node: RedisNode, address: string): Promise<readonly Error[]> {
  const [seconds, micros] = (await node.call('TIME')) as [string, string];
  const aheadMs = Number(seconds) * 1000 + Number(micros) / 1000 - Date.now();
  if (Math.abs(aheadMs) < CLOCK_GRAIN_MS) return [];
  const difference = `${Math.round(Math.abs(aheadMs) / 1000)} s ${aheadMs > 0 ? 'ahead of' : 'behind'} ours`;
  return [
    new Error(
      `The clock of Redis at ${address} is ${difference}. No lock depends on that, but one of the two is wrong.`,
    ),
  ];
}
