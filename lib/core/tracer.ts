import type { NamedKey } from './key.js';
import type { HeldLease, Lease } from './lease.js';
import type { Terms } from './options.js';
import type { Refusal } from './refusal.js';

/** Whoever follows acquisitions and holds in the asynchronous contexts of their callers. None of these may throw. */
export interface LockTracer {
  /** Calls `acquire`, once, and hands on what it comes to; itself called where the acquisition was. */
  acquiring(
    wanted: readonly NamedKey[],
    terms: Terms,
    acquire: () => Promise<HeldLease | Refusal>,
  ): Promise<HeldLease | Refusal>;
  /** Calls `run`, once, and hands on what it comes to: the work under a lease. */
  holding<T>(lease: Lease, run: () => T): T;
}
