import { checkName } from '../lock.tokens.js';

const SHARDS = 'nestjs-interlock.shards';

/**
 * The injection token of a `ShardService`: of the one without a name, for which the class stands as well, or of the one
 * that belongs to the lock service of that `name`.
 */
export function shardServiceToken(name?: string): symbol {
  return Symbol.for(name === undefined ? SHARDS : `${SHARDS}:${checkName(name)}`);
}
