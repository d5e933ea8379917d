import type { LockBackend, LockMode } from '../../../lib/backends/lock-backend.js';

/** A backend with one planted bug, and the cases of the contract that have to find it. */
export interface Mutant {
  readonly bug: string;
  /** All of these must fail; others may. */
  readonly caughtBy: readonly string[];
  /** The modes that the suite is told to expect; default all. */
  readonly modes?: readonly LockMode[];
  /** Of the backend that the bug is planted into; default 0. */
  readonly lockDelayMs?: number;
  /** What the suite is told to expect; default 0. */
  readonly claimedDelayMs?: number;
  /** Called once for a run of the suite: what it closes over is shared by all clients. */
  plant(): (inner: LockBackend) => LockBackend;
}

export type Mutation = (inner: LockBackend) => LockBackend;

/** A bug that needs no memory beyond one client's. */
export function mutant(bug: string, caughtBy: readonly string[], mutation: Mutation): Mutant {
  return { bug, caughtBy, plant: () => mutation };
}
