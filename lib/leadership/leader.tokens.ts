import { checkName } from '../lock.tokens.js';

const LEADERS = 'nestjs-interlock.leaders';

/**
 * The injection token of a `LeaderService`: of the one without a name, for which the class stands as well, or of the
 * one that belongs to the lock service of that `name`.
 */
export function leaderServiceToken(name?: string): symbol {
  return Symbol.for(name === undefined ? LEADERS : `${LEADERS}:${checkName(name)}`);
}
