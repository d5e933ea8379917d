import type { Clock, Timer } from '../../../lib/core/clock.js';
import type { Random } from './random.js';
import type { Planned, VirtualTime } from './virtual-time.js';

/** Timers of Node fire a little late. */
const LATENESS_MS = 0.5;

class HostTimer implements Timer {
  planned: Planned | undefined;
  private over = false;

  /** @param dueMs by the host's monotonic clock */
  constructor(
    readonly dueMs: number,
    private readonly callback: () => void,
    private readonly timers: Set<HostTimer>,
  ) {
    timers.add(this);
  }

  clear(): void {
    this.over = true;
    if (this.planned) this.planned.isOff = true;
    this.timers.delete(this);
  }

  fire(): void {
    if (this.over) return;
    this.clear();
    this.callback();
  }

  get isOver(): boolean {
    return this.over;
  }
}

/**
 * A process with a clock of its own, of which the rate differs a little from real time. It can be frozen, which it
 * does not notice, suspended together with its machine, during which its monotonic clock stands still, and killed.
 * Its clock reads what the library's `SystemClock` would: the monotonic time, and whatever the wall clock gained.
 */
export class Host implements Clock {
  /** Called after each thing that happened in here, as soon as all that follows from it has run. */
  afterTurn: (() => void) | undefined;
  isDead = false;
  /** When it was last frozen or suspended, and until when; real time. */
  thawedAtMs = -Infinity;
  thawsAtMs = -Infinity;
  /** When its clock last leapt ahead of its timers: after a suspension, or a correction of the wall clock. */
  leaptAtMs = -Infinity;
  frozenMs = 0;
  private isFrozen = false;
  private suspendedMs = 0;
  private leapsMs = 0;
  private readonly timers = new Set<HostTimer>();
  private readonly lateTimers: HostTimer[] = [];
  private readonly lateMessages: (() => void)[] = [];

  constructor(
    readonly name: string,
    readonly time: VirtualTime,
    private readonly random: Random,
    readonly rate: number,
    private readonly originMs: number,
  ) {}

  now(): number {
    return this.originMs + this.time.nowMs * this.rate + this.leapsMs;
  }

  get pendingTimers(): number {
    return this.timers.size;
  }

  get isAwake(): boolean {
    return !this.isDead && !this.isFrozen;
  }

  /** How long it has been running, without the time that it was frozen. */
  get awakeMs(): number {
    return this.time.nowMs - this.frozenMs;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    // as Node's do: whole milliseconds, at least one
    const dueMs = this.monotonicMs() + Math.max(1, Math.ceil(delayMs));
    const timer = new HostTimer(dueMs, callback, this.timers);
    this.arm(timer, this.random.next() * LATENESS_MS);
    return timer;
  }

  /** Lets a message in; later when it is frozen, never when it is dead. */
  receive(message: () => void): void {
    if (this.isDead) return;
    if (this.isFrozen) this.lateMessages.push(message);
    else this.turn(message);
  }

  freeze(forMs: number): void {
    if (this.isFrozen || this.isDead) return;
    this.isFrozen = true;
    this.thawsAtMs = this.time.nowMs + forMs;
    this.time.after(forMs, () => this.thaw(forMs));
  }

  /** With its machine: the monotonic clock stands still meanwhile. */
  suspend(forMs: number): void {
    if (this.isFrozen || this.isDead) return;
    this.freeze(forMs);
    this.suspendedMs += forMs * this.rate;
    this.leaptAtMs = this.time.nowMs + forMs;
  }

  /** The wall clock is set forward. */
  leap(byMs: number): void {
    if (!this.isAwake) return;
    this.leapsMs += byMs;
    this.leaptAtMs = this.time.nowMs;
    this.turn(() => undefined);
  }

  kill(): void {
    this.isDead = true;
  }

  private monotonicMs(): number {
    return this.time.nowMs * this.rate - this.suspendedMs;
  }

  private arm(timer: HostTimer, lateMs: number): void {
    const leftMs = Math.max(0, timer.dueMs - this.monotonicMs());
    timer.planned = this.time.after(leftMs / this.rate + lateMs, () => this.ring(timer));
  }

  private ring(timer: HostTimer): void {
    if (timer.isOver || this.isDead) return;
    if (this.isFrozen) this.lateTimers.push(timer);
    else if (timer.dueMs > this.monotonicMs() + 1e-6) this.arm(timer, 0);
    else this.turn(() => timer.fire());
  }

  /** As in Node's event loop: the timers that are due, in their order, and then what came in. */
  private thaw(forMs: number): void {
    this.isFrozen = false;
    this.frozenMs += forMs;
    this.thawedAtMs = this.time.nowMs;
    const timers = this.lateTimers.splice(0).sort((one, other) => one.dueMs - other.dueMs);
    for (const timer of timers) this.time.after(0, () => this.ring(timer));
    for (const message of this.lateMessages.splice(0)) this.time.after(0, () => this.receive(message));
  }

  private turn(action: () => void): void {
    action();
    if (this.afterTurn) this.time.whenSettled(this.afterTurn);
  }
}
