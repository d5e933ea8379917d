import type {
  Grant,
  HolderSnapshot,
  LockBackend,
  LockSnapshot,
  RenewOutcome,
} from '../backends/lock-backend.js';
import { Chain } from './chain.js';
import type { Clock, Timer } from './clock.js';
import type { LossReason } from './errors.js';
import type { LockEvent } from './events.js';
import { deadlineOf, subjectOf, type Hold } from './hold.js';
import type { Calls } from './outcome.js';

/** No renewal is repeated faster than this, however tiny the ttl. */
const SHORTEST_PAUSE_MS = 10;
/**
 * A timer that is later than that was set before the clock leapt, and did not leap along: after a suspension of the
 * machine it fires as much too late as that had lasted.
 */
const STUCK_MS = 1_000;
/** A renewal that is later than that, and than this part of its ttl, is told: something blocks the event loop. */
const LATE_MS = 50;
const LATE_PART_OF_TTL = 0.1;
/** Whoever holds a lock for so many times its ttl may have forgotten it. */
const LONG_TTLS = 20;
/** In place of a renewal whose call is just being made. */
const SENDING = Promise.resolve();

/**
 * Keeps the leases of one service alive: one timer, everything that is due in one batch, never two renewals
 * of one lease in flight. A renewal that fails is repeated until the lease's own deadline; only a server's
 * word or that deadline is a loss.
 */
export class Keeper {
  private readonly holds = new Chain<Hold>();
  private timer: Timer | undefined;
  private timerAtMs = Infinity;
  private running = true;

  constructor(
    private readonly clock: Clock,
    private readonly backend: LockBackend,
    private readonly calls: Calls,
    private readonly callTimeoutMs: number,
    private readonly onLost: (hold: Hold, reason: LossReason) => void,
    private readonly tell: (event: LockEvent) => void,
  ) {}

  get size(): number {
    return this.holds.size;
  }

  get all(): readonly Hold[] {
    return this.holds.toArray();
  }

  add(hold: Hold): void {
    this.holds.add(hold);
    if (this.timerAtMs + STUCK_MS <= hold.grant.sentAtMs) this.wakeNow(hold.grant.sentAtMs);
    this.wakeBy(hold.dueAtMs);
  }

  /**
   * From here on the hold is not renewed any more; one renewal may still be in flight. The timer stays: it
   * will find nothing to do, which is cheaper than to set it anew for each short lease.
   */
  remove(hold: Hold): void {
    this.holds.delete(hold);
  }

  /** Marks a hold as lost, once. */
  lose(hold: Hold, reason: LossReason): void {
    this.remove(hold);
    if (hold.lose(reason)) this.onLost(hold, reason);
  }

  /** Finds out at once whether these are still held. */
  doubt(suspect: (hold: Hold) => boolean): void {
    const suspects = this.all.filter((hold) => hold.state === 'held' && suspect(hold));
    // the answer to what is in flight may be older than the doubt
    for (const hold of suspects) hold.doubted = hold.renewal !== undefined || hold.looking;
    this.ask(suspects.filter((hold) => !hold.doubted));
  }

  /**
   * Sets the lease to another length, at once. True when the server confirmed it; else the hold's state tells
   * more, and one that is still held goes on by the shorter of the two.
   */
  async extend(hold: Hold, ttlMs: number): Promise<boolean> {
    // again and again: somebody else may have waited for the same renewal
    while (hold.renewal) await hold.renewal;
    if (hold.state !== 'held') return false;
    const { claim } = hold.grant;
    const extended: Grant = { ...hold.grant, claim: { ...claim, ttlMs } };
    if (ttlMs < claim.ttlMs) {
      // should the answer be lost, the server may count the shorter time already, or later on
      hold.grant = extended;
      hold.deadlineMs = Math.min(hold.deadlineMs, deadlineOf(this.clock.now(), ttlMs));
    }
    hold.longestTtlMs = Math.max(hold.longestTtlMs, ttlMs);
    const [answer] = await this.renew([hold], [extended]);
    return answer === 'renewed' && hold.state === 'held';
  }

  stop(): void {
    this.running = false;
    this.disarm();
  }

  private wakeBy(atMs: number): void {
    if (!this.running || atMs >= this.timerAtMs) return;
    this.disarm();
    this.timerAtMs = atMs;
    this.timer = this.clock.setTimer(() => this.tick(), atMs - this.clock.now(), true);
  }

  private wakeNow(nowMs: number): void {
    this.disarm();
    this.wakeBy(nowMs);
  }

  private disarm(): void {
    this.timer?.clear();
    this.timer = undefined;
    this.timerAtMs = Infinity;
  }

  private tick(): void {
    const dueAtMs = this.timerAtMs;
    this.disarm();
    const nowMs = this.clock.now();
    const batch: Hold[] = [];
    let nextMs = Infinity;
    for (const hold of this.all) {
      // those who are told of one loss may release others
      if (hold.state !== 'held') continue;
      if (nowMs >= hold.deadlineMs) {
        this.lose(hold, 'silent');
      } else if (!hold.renewal && hold.renewAtMs - slackMs(hold) <= nowMs) {
        batch.push(hold);
      } else {
        nextMs = Math.min(nextMs, hold.dueAtMs);
      }
    }
    this.ask(batch);
    for (const hold of batch) this.tellOfTrouble(hold, nowMs, nowMs - dueAtMs);
    for (const hold of batch) nextMs = Math.min(nextMs, hold.dueAtMs);
    if (nextMs < Infinity) this.wakeBy(Math.max(nextMs, nowMs + 1));
  }

  /** By renewing them; those that are not to be renewed are only looked at. */
  private ask(holds: readonly Hold[]): void {
    const batch = holds.filter((hold) => hold.renews);
    if (batch.length > 0) void this.renew(batch);
    for (const hold of holds) if (!hold.renews) void this.look(hold);
  }

  private async look(hold: Hold): Promise<void> {
    const { key, owner } = hold.grant.claim;
    hold.looking = true;
    hold.renewAtMs = Infinity;
    const outcome = await this.calls.outcome(() => this.backend.inspect(key));
    hold.looking = false;
    if (outcome.ok && isLost(outcome.value, owner)) this.lose(hold, 'gone');
    else if (hold.doubted) this.lookAgain(hold);
  }

  /** @param lagMs by how much the timer was late */
  private tellOfTrouble(hold: Hold, nowMs: number, lagMs: number): void {
    const { ttlMs } = hold.grant.claim;
    if (lagMs > LATE_MS && lagMs > ttlMs * LATE_PART_OF_TTL)
      this.tell({ type: 'renewed-late', ...subjectOf(hold), lagMs, ttlMs });
    const heldMs = nowMs - hold.grant.sentAtMs;
    if (heldMs < ttlMs * LONG_TTLS || hold.isKnownToLast) return;
    hold.isKnownToLast = true;
    this.tell({ type: 'held-long', ...subjectOf(hold), heldMs, ttlMs });
  }

  private renew(
    batch: readonly Hold[],
    grants: readonly Grant[] = batch.map((hold) => hold.grant),
  ): Promise<readonly RenewOutcome[]> {
    // a backend may doubt them while it is called
    for (const hold of batch) hold.renewal = SENDING;
    const renewal = this.send(batch, grants);
    for (const hold of batch) hold.renewal = renewal;
    return renewal;
  }

  private async send(batch: readonly Hold[], grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    const sentAtMs = this.clock.now();
    let waits = true;
    const call = async (): Promise<readonly RenewOutcome[]> => {
      const answers = answersOf(await this.backend.renew(grants));
      if (!waits) batch.forEach((hold, index) => settleLate(hold, grants[index], answers[index], sentAtMs));
      return answers;
    };
    const outcome = await this.calls.outcome(call, this.timeoutMs(batch));
    waits = false;
    const answers = outcome.ok ? outcome.value : [];
    batch.forEach((hold, index) => {
      hold.renewal = undefined;
      this.settle(hold, grants[index] ?? hold.grant, answers[index] ?? 'unknown', sentAtMs);
    });
    for (const hold of batch) if (hold.doubted) this.lookAgain(hold);
    return answers;
  }

  private settle(hold: Hold, grant: Grant, answer: RenewOutcome, sentAtMs: number): void {
    if (hold.state !== 'held') return;
    if (answer === 'gone') return this.lose(hold, 'gone');
    if (answer === 'renewed') {
      hold.grant = grant;
      hold.confirm(sentAtMs);
    } else {
      hold.stragglerTtlMs = Math.min(hold.stragglerTtlMs, grant.claim.ttlMs);
      const pauseMs = Math.max(SHORTEST_PAUSE_MS, hold.reliableTtlMs / 12);
      hold.renewAtMs = hold.renews ? this.clock.now() + pauseMs : Infinity;
    }
    this.wakeBy(hold.dueAtMs);
  }

  /** Soon, not at once: a backend that doubts whatever it renews would leave no turn to anything else here. */
  private lookAgain(hold: Hold): void {
    hold.doubted = false;
    if (hold.state !== 'held') return;
    hold.renewAtMs = Math.min(hold.renewAtMs, this.clock.now() + SHORTEST_PAUSE_MS);
    this.wakeBy(hold.dueAtMs);
  }

  /** Short enough that a lost reply leaves time for another try before the deadline. */
  private timeoutMs(batch: readonly Hold[]): number {
    let timeoutMs = this.callTimeoutMs;
    for (const hold of batch) timeoutMs = Math.min(timeoutMs, hold.reliableTtlMs / 4);
    return Math.max(SHORTEST_PAUSE_MS, timeoutMs);
  }
}

/** Whatever else a backend answers proves nothing. */
export function answersOf(value: unknown): readonly RenewOutcome[] {
  return Array.isArray(value) ? (value as RenewOutcome[]) : [];
}

/** Whether the owner holds nothing any more; what lingers or is delayed is kept for nobody. */
function isLost(snapshot: LockSnapshot | null, owner: string): boolean {
  if (snapshot === null) return true;
  const holders: unknown = snapshot?.holders;
  if (!Array.isArray(holders)) return false;
  return !(holders as HolderSnapshot[]).some((holder) => holder?.owner === owner && !holder.state);
}

/**
 * An answer that came after we had given up waiting for it, and asked again: on a slow server each of them may be
 * late. What it confirms, it confirms from when it was asked for; whatever else it says, the next answer will.
 */
function settleLate(
  hold: Hold,
  grant: Grant | undefined,
  answer: RenewOutcome | undefined,
  sentAtMs: number,
): void {
  if (hold.state !== 'held' || answer !== 'renewed' || hold.grant !== grant) return;
  hold.deadlineMs = Math.max(hold.deadlineMs, deadlineOf(sentAtMs, hold.reliableTtlMs));
}

/** Renewing a little early costs nothing, and lets leases that were taken at different times share a batch. */
function slackMs(hold: Hold): number {
  return hold.reliableTtlMs / 12;
}
