import { callers } from './callers.js';
import { decorator } from './decorator.js';
import type { Discipline } from './discipline.js';
import { handOff, handOffInside } from './hand-off.js';
import { herd, herdOfProcesses } from './herd.js';
import { sequential } from './sequential.js';

export const disciplines: readonly Discipline[] = [
  sequential,
  callers,
  handOff,
  handOffInside,
  herd,
  herdOfProcesses,
  decorator,
];
