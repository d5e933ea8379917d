import { compete } from './compete.js';
import { cycles } from './cycles.js';
import { handOff, handOver, ready, receive, sent, stand, take } from './hand-offs.js';
import { hold, letGo, renewFor } from './renewal.js';
import { rush } from './rush.js';
import { firstLock, startNest } from './start.js';

/** What a process of the bench can be asked for. */
export const tasks = {
  compete,
  cycles,
  firstLock,
  handOff,
  handOver,
  hold,
  letGo,
  ready,
  receive,
  renewFor,
  rush,
  sent,
  stand,
  startNest,
  take,
};

export type Tasks = typeof tasks;
