import type { LockBackend } from '../../../lib/backends/lock-backend.js';
import type { Lease } from '../../../lib/core/lease.js';
import { Locks } from '../../../lib/core/locks.js';
import type { Share } from '../judges/share.js';
import { Holding } from './holding.js';
import type { Host } from './host.js';
import type { Plan } from './plan.js';
import type { Proof, Wire } from './wire.js';

export const SHUTDOWN_TIMEOUT_MS = 1_000;

/** One process of a world: the real core on a clock and a wire that are not. */
export class Process {
  readonly locks: Locks;
  /** All leases that callers in here have had. */
  readonly holdings: Holding[] = [];
  /** A clean-up was given up: the ttl does it. */
  gaveUp = false;
  /** Calls of the library that have not returned. */
  calling = 0;
  stopped: Promise<void> | undefined;
  stoppedAtMs: number | undefined;
  private believed: Holding[] = [];

  constructor(
    readonly host: Host,
    readonly wire: Wire,
    private readonly proofs: ReadonlyMap<string, Proof>,
    plan: Plan,
  ) {
    const backend: LockBackend = wire;
    this.locks = new Locks(backend, {
      clock: host,
      identity: host.name,
      prefix: 'sim',
      callTimeout: plan.callTimeoutMs,
      shutdownTimeout: SHUTDOWN_TIMEOUT_MS,
    });
    if (plan.observed) {
      this.locks.events$.subscribe((event) => {
        if (event.type === 'cleanup-expired') this.gaveUp = true;
      });
    }
    host.afterTurn = () => this.look();
  }

  get name(): string {
    return this.host.name;
  }

  hold(lease: Lease, share: Share, calledAtMs: number): Holding {
    const holding = new Holding(this.host, lease, share, calledAtMs, this.proofs);
    this.holdings.push(holding);
    this.believed.push(holding);
    return holding;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.host.setTimer(resolve, ms);
    });
  }

  stop(): Promise<void> {
    this.stopped ??= this.locks.stop().then(() => {
      this.stoppedAtMs = this.host.time.nowMs;
    });
    return this.stopped;
  }

  private look(): void {
    if (this.believed.length === 0) return;
    for (const holding of this.believed) holding.look();
    if (this.believed.some(({ isOver }) => isOver)) {
      this.believed = this.believed.filter(({ isOver }) => !isOver);
    }
  }
}
