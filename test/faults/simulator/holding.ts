import type { Lease } from '../../../lib/core/lease.js';
import type { Share } from '../judges/share.js';
import type { Host } from './host.js';
import type { Proof } from './wire.js';

/** So long after a leap of the clock, timers from before it may still be late. */
const LATE_TIMERS_MS = 1_000;

/** One lease in the hands of a caller, and until when he believes in it. Times are real ones. */
export class Holding {
  readonly fromMs: number;
  untilMs: number;
  /** When the release was called. */
  endedAtMs: number | undefined;
  toldAtMs: number | undefined;
  /** Why the loss was told too late. */
  complaint: string | undefined;
  /** Somebody took it away, and answers for that. */
  evictedAtMs = Infinity;

  /**
   * @param calledAtMs when it was asked for
   * @param told called when the loss is told
   */
  constructor(
    readonly host: Host,
    readonly lease: Lease,
    readonly share: Share,
    readonly calledAtMs: number,
    private readonly proofs: ReadonlyMap<string, Proof>,
  ) {
    this.fromMs = host.time.nowMs;
    this.untilMs = this.fromMs;
    this.look();
    const { signal } = lease;
    if (signal.aborted) this.onTold();
    else signal.addEventListener('abort', () => this.onTold(), { once: true });
  }

  get isOver(): boolean {
    return this.endedAtMs !== undefined || this.toldAtMs !== undefined;
  }

  /** Reads off until when the lease is believed in, as things are now. */
  look(): void {
    if (this.isOver || this.isUnwatched) return;
    const { time, rate } = this.host;
    const leftMs = this.lease.expiresInMs;
    if (leftMs > 0) this.untilMs = time.nowMs + leftMs / rate;
    else this.untilMs = Math.min(this.untilMs, time.nowMs);
  }

  /** To be called right before the release. */
  end(): void {
    if (this.isOver) return;
    this.look();
    this.endedAtMs = this.host.time.nowMs;
    this.untilMs = Math.min(this.untilMs, this.endedAtMs);
  }

  /** The process was killed. */
  die(): void {
    if (this.isOver) return;
    this.endedAtMs = this.host.time.nowMs;
    this.untilMs = Math.min(this.untilMs, this.endedAtMs);
  }

  /** Past its deadline, nobody must look: whoever looks is told, and it has to be told by itself. */
  private get isUnwatched(): boolean {
    const { nowMs } = this.host.time;
    return nowMs > this.fromMs && nowMs >= this.untilMs && nowMs >= this.provenUntilMs;
  }

  private onTold(): void {
    if (this.isOver) return;
    const { nowMs } = this.host.time;
    this.toldAtMs = nowMs;
    this.untilMs = Math.min(this.untilMs, nowMs);
    const lateMs = nowMs - this.provenUntilMs;
    if (lateMs > 0 && !this.wasDisturbed) {
      this.complaint = `I3: ${this.host.name} was told of the loss of ${this.lease.key} (fence ${this.lease.fence}) ${lateMs.toFixed(3)} ms after its ttl`;
    }
  }

  /** The end of the ttl, counted from the last request that came through. */
  get provenUntilMs(): number {
    let untilMs = Infinity;
    for (const [key, fence] of this.lease.fences) {
      const proof = this.proofs.get(`${key} ${fence}`);
      untilMs = Math.min(untilMs, proof?.untilMs ?? this.fromMs);
    }
    return untilMs;
  }

  /** Whoever was stopped at the time is told when it goes on; a clock that leaps does not take its timers along. */
  private get wasDisturbed(): boolean {
    const { thawedAtMs, leaptAtMs } = this.host;
    return thawedAtMs >= this.provenUntilMs - 1 || leaptAtMs >= this.calledAtMs - LATE_TIMERS_MS;
  }
}
