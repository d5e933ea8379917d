import { isCluster, knownOptions, type KnownOptions, type RedisClient } from './redis-client.js';

/**
 * Warnings of settings of a client that was handed in by which a claim may be carried out long after its caller gave it
 * up: then a lock is held by nobody until its ttl is over.
 *
 * Most of what a client does late is harmless here. Nothing of ours goes into its offline queue, because nothing is sent
 * while it is not connected. A claim that arrives within a minute of its abandonment is refused. And a step is tied to
 * its owner, so one that is repeated changes nothing. What remains are commands that were in flight when the connection
 * broke, and are sent again after a time without limit, or without anybody who hears the answer.
 */
export function settingsWarnings(client: RedisClient): Error[] {
  const options = connectionOptions(client);
  if (!options || options.autoResendUnfulfilledCommands === false) return [];
  const warnings: Error[] = [];
  if (options.maxRetriesPerRequest === null) {
    warnings.push(
      risk(
        'maxRetriesPerRequest: null',
        'it sends again, however late, what was in flight when the connection broke',
      ),
    );
  }
  if (typeof options.commandTimeout === 'number') {
    warnings.push(
      risk('commandTimeout', 'a command that timed out is still sent again when the connection is back'),
    );
  }
  return warnings;
}

/** The options of what reconnects; undefined when nothing does. */
function connectionOptions(client: RedisClient): KnownOptions | undefined {
  const options = knownOptions(client);
  if (!isCluster(client)) return options;
  // a cluster's nodes are connected anew instead, unless it is told otherwise
  if (typeof options.clusterNodeRetryStrategy !== 'function') return undefined;
  return { maxRetriesPerRequest: 20, ...options.redisOptions };
}

function risk(setting: string, why: string): Error {
  return new Error(
    `The client that was given to redis() has the setting ${setting}: ${why}, and so a lock can be taken for nobody until its ttl is over. ` +
      'Set autoResendUnfulfilledCommands: false, or give redis() the address instead of the client.',
  );
}
