import { readFileSync } from 'node:fs';
import { nowMs } from './monotonic.js';

const BEAT_MS = 20;
/** What comes back from such a pause is slow for a while: this part of the pause. */
const AFTERMATH = 0.1;
/** Longer than any wait that is judged. */
const KEPT_MS = 60_000;

interface Sample {
  readonly atMs: number;
  /** By process id: for how long it could have run by now, and was not let. */
  readonly waitedMs: ReadonlyMap<number, number>;
}

/**
 * Measures how long processes had work and no core: what a busy machine does to a hand-off, as the kernel counts it.
 * What is late by more than that is the fault of the locks. Where the kernel does not tell (it is Linux that does), only
 * the delays of our own event loop count.
 */
export class Starvation implements Disposable {
  private samples: Sample[] = [];
  private readonly timer: NodeJS.Timeout;

  /** @param pids of the processes that matter now */
  constructor(private readonly pids: () => readonly number[]) {
    this.sample();
    this.timer = setInterval(() => this.sample(), BEAT_MS);
  }

  /**
   * The sum over these processes and our own, which carries the bytes between them; and of the servers that which
   * waited longest, because one of them has to answer. With a tenth more, for what follows.
   */
  stolenMs(pids: readonly number[], servers: readonly number[], fromMs: number, toMs: number): number {
    if (toMs > (this.samples.at(-1)?.atMs ?? 0)) this.sample();
    const before = this.samples.findLast(({ atMs }) => atMs <= fromMs) ?? this.samples[0];
    const after = this.samples.find(({ atMs }) => atMs >= toMs) ?? this.samples.at(-1);
    if (!before || !after) return 0;
    const waited = (pid: number): number =>
      Math.max(0, (after.waitedMs.get(pid) ?? 0) - (before.waitedMs.get(pid) ?? Infinity));
    const own = Math.max(waited(process.pid), this.ownDelayMs(fromMs, toMs));
    const sum = pids.reduce((ms, pid) => ms + waited(pid), own + Math.max(0, ...servers.map(waited)));
    return sum * (1 + AFTERMATH);
  }

  [Symbol.dispose](): void {
    clearInterval(this.timer);
  }

  /** By how much our own beats were late. */
  private ownDelayMs(fromMs: number, toMs: number): number {
    let sum = 0;
    for (let at = 1; at < this.samples.length; at++) {
      const [before, after] = [this.samples[at - 1], this.samples[at]];
      if (!before || !after || after.atMs < fromMs || before.atMs > toMs) continue;
      sum += Math.max(0, after.atMs - before.atMs - 2 * BEAT_MS);
    }
    return sum;
  }

  private sample(): void {
    const atMs = nowMs();
    const waitedMs = new Map<number, number>();
    for (const pid of [process.pid, ...this.pids()]) {
      const ms = waitedMsOf(pid);
      if (ms !== undefined) waitedMs.set(pid, ms);
    }
    this.samples.push({ atMs, waitedMs });
    if ((this.samples[0]?.atMs ?? atMs) < atMs - 2 * KEPT_MS)
      this.samples = this.samples.filter((sample) => sample.atMs > atMs - KEPT_MS);
  }
}

function waitedMsOf(pid: number): number | undefined {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6;
  } catch {
    return undefined;
  }
}
