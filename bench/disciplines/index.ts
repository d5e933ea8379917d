import { callers } from './callers.js';
import { inDatabases } from './databases.js';
import { decorator } from './decorator.js';
import type { Discipline } from './discipline.js';
import { fairness } from './fairness.js';
import { handOffAcross, handOffInside } from './hand-off.js';
import { herdOfProcesses, herds } from './herd.js';
import { imports } from './imports.js';
import { renewals } from './renewal.js';
import { sequential } from './sequential.js';
import { start, startNest } from './start.js';
import { telemetry } from './telemetry.js';

export const disciplines: readonly Discipline[] = [
  sequential,
  callers,
  handOffInside,
  handOffAcross,
  ...herds,
  herdOfProcesses,
  fairness,
  ...renewals,
  decorator,
  telemetry,
  start,
  startNest,
  imports,
  ...inDatabases,
];
