import type { LockBackend } from '../backends/lock-backend.js';
import type { Clock } from './clock.js';
import type { Debts } from './debts.js';
import { LockUnavailableError } from './errors.js';
import type { LockEvents } from './events.js';
import type { Hold } from './hold.js';
import type { Keeper } from './keeper.js';
import { outcomeOf } from './outcome.js';

const FIRST_BACKOFF_MS = 20;

/** What giving one hold back came to; a failure leaves a debt behind. */
type Release = { readonly wasHeld: boolean } | { readonly error: Error };

/** Gives holds back: settles a renewal in flight first, and owes what the server does not confirm. */
export class Releaser {
  constructor(
    private readonly backend: LockBackend,
    private readonly clock: Clock,
    private readonly keeper: Keeper,
    private readonly debts: Debts,
    private readonly events: LockEvents,
    private readonly callTimeoutMs: number,
  ) {}

  /**
   * In reverse order of their acquisition.
   *
   * @returns whether all were still ours
   * @throws LockUnavailableError, after all were tried, when the server did not confirm one
   */
  async releaseAll(holds: readonly Hold[]): Promise<boolean> {
    let allWereHeld = true;
    let failure: Error | undefined;
    for (let index = holds.length - 1; index >= 0; index--) {
      const hold = holds[index];
      if (!hold) continue;
      const release = await this.releaseShare(hold);
      if ('error' in release) failure ??= release.error;
      else allWereHeld &&= release.wasHeld;
    }
    if (failure) throw failure;
    return allWereHeld;
  }

  /** Gives one back whoever still shares it; used at shutdown, where nobody is left to be told of a failure. */
  async revoke(hold: Hold): Promise<void> {
    this.keeper.lose(hold, 'shutdown');
    if (hold.handedOver) return;
    await this.send(hold);
  }

  /** Cleans up after an owner of whom something may be left on the server. */
  oweAbandon(hold: Hold): void {
    const { claim } = hold.grant;
    this.debts.owe(hold.name, claim.ttlMs, () => this.backend.abandon(claim));
  }

  private async releaseShare(hold: Hold): Promise<Release> {
    if (--hold.shares > 0) return { wasHeld: hold.state === 'held' };
    if (hold.state !== 'held') return { wasHeld: false };
    hold.state = 'released';
    this.keeper.remove(hold);
    // else it could arrive after the release, and bring the key back to life
    if (hold.renewal) await hold.renewal;
    const release = await this.send(hold);
    if (hold.uncertain) this.oweAbandon(hold);
    if (this.events.observed && !('error' in release)) {
      const { fence, sentAtMs } = hold.grant;
      const heldMs = this.clock.now() - sentAtMs;
      this.events.emit({ type: 'released', key: hold.name, fence, heldMs, wasHeld: release.wasHeld });
    }
    return release;
  }

  private async send(hold: Hold): Promise<Release> {
    const giveUpAtMs = this.clock.now() + this.callTimeoutMs;
    let leftMs = this.callTimeoutMs;
    let mayHaveBeenOurs = false;
    for (let backoffMs = FIRST_BACKOFF_MS; ; backoffMs *= 2) {
      const isOurs = giveUpAtMs - leftMs < hold.deadlineMs;
      const call = outcomeOf(this.clock, leftMs, () => this.backend.release(hold.grant, hold.lingerMs));
      // the call is on its way: what the next one here sends now arrives behind it
      hold.end();
      const outcome = await call;
      // 'gone' after a try whose reply was lost, sent while the lease was certainly ours: that try did it
      if (outcome.ok) return { wasHeld: outcome.value === 'released' || mayHaveBeenOurs };
      if (outcome.certainty === 'unknown' && isOurs) mayHaveBeenOurs = true;
      leftMs = giveUpAtMs - this.clock.now() - backoffMs;
      if (leftMs <= 0) return this.owe(hold, outcome.error);
      await pause(this.clock, backoffMs);
    }
  }

  private owe(hold: Hold, cause: Error): Release {
    this.debts.owe(hold.name, hold.grant.claim.ttlMs, () => this.backend.release(hold.grant, hold.lingerMs));
    const error = new LockUnavailableError(
      `The release of "${hold.name}" was not confirmed: ${cause.message.replace(/\.$/, '')}. It is being repeated in the background; the key is free within its ttl of ${hold.grant.claim.ttlMs} ms at the latest.`,
      { key: hold.name, cause },
    );
    return { error };
  }
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(resolve, ms);
  });
}
