import { bare } from './bare.js';
import type { Contestant } from './contestant.js';
import { interlock } from './interlock.js';
import { redisSemaphore } from './redis-semaphore.js';
import { redlock } from './redlock.js';
import { verrou } from './verrou.js';

export const contestants: readonly Contestant[] = [interlock, bare, redlock, redisSemaphore, verrou];
