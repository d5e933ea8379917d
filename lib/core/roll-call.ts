import type { Claim, LockBackend } from '../backends/lock-backend.js';
import type { Clock, Timer } from './clock.js';
import type { Calls } from './outcome.js';

/** One who stands in the server's line. */
export interface Present {
  readonly claim: Claim;
  /** When the server last heard of it; undefined while it is asking, is going to after a failure, or is done. */
  readonly heardOfMs: number | undefined;
  /** The server knows of it still. */
  seen(atMs: number): void;
  /** Asks again by itself. */
  attempt(): void;
}

/**
 * Shows life for all who wait on the servers of one service: one timer and, every poll interval, one call, however
 * many keys are waited for. Whoever may have a chance, or was not answered for, asks by itself.
 */
export class RollCall {
  private readonly waiting = new Set<Present>();
  private timer: Timer | undefined;
  private calling = false;

  constructor(
    private readonly clock: Clock,
    private readonly backend: LockBackend,
    private readonly calls: Calls,
  ) {}

  /** Whether the backend can do that; else everybody polls. */
  get isHeld(): boolean {
    return this.backend.stay !== undefined;
  }

  add(present: Present): void {
    this.waiting.add(present);
    this.timer ??= this.clock.setTimer(this.tick, this.backend.traits.pollMs);
  }

  delete(present: Present): void {
    this.waiting.delete(present);
  }

  stop(): void {
    this.timer?.clear();
    this.timer = undefined;
  }

  private readonly tick = (): void => {
    this.timer = undefined;
    if (this.waiting.size === 0) return;
    const { pollMs } = this.backend.traits;
    this.timer = this.clock.setTimer(this.tick, pollMs);
    if (this.calling) return;
    const heardOfByMs = this.clock.now() - pollMs / 2;
    const silent: Present[] = [];
    for (const present of this.waiting)
      if ((present.heardOfMs ?? Infinity) <= heardOfByMs) silent.push(present);
    if (silent.length > 0) void this.call(silent);
  };

  private async call(silent: readonly Present[]): Promise<void> {
    const { backend } = this;
    const sentAtMs = this.clock.now();
    const claims = silent.map(({ claim }) => claim);
    this.calling = true;
    const outcome = await this.calls.outcome(async () => backend.stay?.(claims));
    this.calling = false;
    const answers: readonly unknown[] = outcome.ok && Array.isArray(outcome.value) ? outcome.value : [];
    silent.forEach((present, index) => {
      // who has asked meanwhile knows better
      if ((present.heardOfMs ?? Infinity) > sentAtMs) return;
      if (answers[index] === false) present.seen(sentAtMs);
      else present.attempt();
    });
  }
}
