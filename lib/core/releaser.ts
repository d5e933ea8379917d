import type { LockBackend } from '../backends/lock-backend.js';
import type { Clock } from './clock.js';
import type { Debts } from './debts.js';
import { LockUnavailableError } from './errors.js';
import type { LockEvents } from './events.js';
import { subjectOf, type Hold } from './hold.js';
import type { Keeper } from './keeper.js';
import { answerOf, type Call, type Calls, type Failure, type Outcome } from './outcome.js';

const FIRST_BACKOFF_MS = 20;

/** Whether the hold was still ours when it was given back; or why that is not known, and a debt was left behind. */
type Release = boolean | Error;

/** The first try to give a hold back, and who wants to know what comes of it. */
class GivingBack implements Call<'released' | 'gone'> {
  constructor(
    readonly hold: Hold,
    readonly startMs: number,
    readonly done: (release: Release) => void,
    private readonly backend: LockBackend,
    private readonly told: (giving: GivingBack, outcome: Outcome<'released' | 'gone'>) => void,
  ) {}

  send(): Promise<'released' | 'gone'> {
    const { grant, lingerMs, isAwaited } = this.hold;
    return this.backend.release(grant, lingerMs, isAwaited);
  }

  onOutcome(outcome: Outcome<'released' | 'gone'>): void {
    this.told(this, outcome);
  }
}

/** Gives holds back: settles a renewal in flight first, and owes what the server does not confirm. */
export class Releaser {
  /** Releases that were called and have not come to anything yet. */
  private pending = 0;
  /** Those of them that the server did not confirm at once; nobody may wait for them any more. */
  insisting = 0;
  private onSettled: (() => void) | undefined;

  constructor(
    private readonly backend: LockBackend,
    private readonly clock: Clock,
    private readonly calls: Calls,
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
  releaseAll(holds: readonly Hold[]): Promise<boolean> {
    const first = holds[0];
    if (!first || holds.length > 1) return this.releaseSeveral(holds);
    return new Promise((resolve, reject) => {
      this.releaseShare(first, (release) => (release instanceof Error ? reject(release) : resolve(release)));
    });
  }

  /** Gives one back whoever still shares it; used at shutdown, where nobody is left to be told of a failure. */
  async revoke(hold: Hold): Promise<void> {
    this.keeper.lose(hold, 'shutdown');
    if (hold.handedOver) return;
    this.pending++;
    await new Promise<Release>((resolve) => {
      this.sendSettled(hold, resolve);
    });
  }

  /** Resolves when all releases that were called have come to something. */
  settled(): Promise<void> {
    if (this.pending === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.onSettled = resolve;
    });
  }

  /** Cleans up after an owner of whom something may be left on the server. */
  oweAbandon(hold: Hold): void {
    const { claim } = hold.grant;
    this.debts.owe(hold.name, hold.longestTtlMs, () => this.backend.abandon(claim));
  }

  private async releaseSeveral(holds: readonly Hold[]): Promise<boolean> {
    // all at once, sent in that order: a silent server costs no more than for one of them
    const releases = [...holds].reverse().map(
      (hold) =>
        new Promise<Release>((resolve) => {
          this.releaseShare(hold, resolve);
        }),
    );
    let allWereHeld = true;
    let failure: Error | undefined;
    for (const release of await Promise.all(releases)) {
      if (release instanceof Error) failure ??= release;
      else allWereHeld &&= release;
    }
    if (failure) throw failure;
    return allWereHeld;
  }

  private releaseShare(hold: Hold, done: (release: Release) => void): void {
    if (--hold.shares > 0) return done(hold.state === 'held');
    if (hold.state !== 'held') return done(false);
    hold.state = 'released';
    this.pending++;
    this.sendSettled(hold, done);
    this.keeper.remove(hold);
  }

  /** Behind the renewal in flight: that could arrive after the release, and bring the key back to life. */
  private sendSettled(hold: Hold, done: (release: Release) => void): void {
    if (hold.renewal) void hold.renewal.then(() => this.send(hold, done));
    else this.send(hold, done);
  }

  private send(hold: Hold, done: (release: Release) => void): void {
    const startMs = this.clock.now();
    const giving = new GivingBack(hold, startMs, done, this.backend, this.onOutcome);
    const answer = answerOf(giving);
    // the call is on its way: what the next one here sends now arrives behind it
    hold.end();
    this.calls.watch(answer, giving, startMs);
  }

  private readonly onOutcome = (giving: GivingBack, outcome: Outcome<'released' | 'gone'>): void => {
    if (outcome.ok) this.settle(giving, outcome.value === 'released');
    else void this.insist(giving, outcome);
  };

  private settle({ hold, done }: GivingBack, release: Release): void {
    if (hold.uncertain) this.oweAbandon(hold);
    if (this.events.observed && hold.state === 'released') {
      const heldMs = this.clock.now() - hold.sinceMs;
      const wasHeld = release instanceof Error ? undefined : release;
      this.events.emit({ type: 'released', ...subjectOf(hold), heldMs, wasHeld });
    }
    if (--this.pending === 0) this.onSettled?.();
    done(release);
  }

  private async insist(giving: GivingBack, firstFailure: Failure): Promise<void> {
    this.insisting++;
    const release = await this.tryAgain(giving, firstFailure);
    this.insisting--;
    this.settle(giving, release);
  }

  /** The first try was not confirmed: more of them, until the usual time for a call is over. */
  private async tryAgain({ hold, startMs }: GivingBack, firstFailure: Failure): Promise<Release> {
    const giveUpAtMs = startMs + this.callTimeoutMs;
    let failure = firstFailure;
    let sentAtMs = startMs;
    let mayHaveBeenOurs = false;
    for (let backoffMs = FIRST_BACKOFF_MS; ; backoffMs *= 2) {
      if (failure.certainty === 'unknown' && sentAtMs < hold.deadlineMs) mayHaveBeenOurs = true;
      if (this.clock.now() + backoffMs >= giveUpAtMs) return this.owe(hold, failure.error);
      await pause(this.clock, backoffMs);
      sentAtMs = this.clock.now();
      const leftMs = Math.max(1, giveUpAtMs - sentAtMs);
      const outcome = await this.calls.outcome(() => this.backend.release(hold.grant, hold.lingerMs), leftMs);
      // 'gone' after a try whose reply was lost, sent while the lease was certainly ours: that try did it
      if (outcome.ok) return outcome.value === 'released' || mayHaveBeenOurs;
      failure = outcome;
    }
  }

  private owe(hold: Hold, cause: Error): Error {
    this.debts.owe(hold.name, hold.longestTtlMs, () => this.backend.release(hold.grant, hold.lingerMs));
    return new LockUnavailableError(
      `The release of "${hold.name}" was not confirmed: ${cause.message.replace(/\.$/, '')}. It is being repeated in the background; the key is free within its ttl of ${hold.longestTtlMs} ms at the latest.`,
      { key: hold.name, cause },
    );
  }
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(resolve, ms);
  });
}
