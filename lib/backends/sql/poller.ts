import type { Timer } from '../../core/clock.js';
import type { HintListener } from '../hints.js';
import type { Claim } from '../lock-backend.js';
import type { SqlSession } from './sql-session.js';

/** How often who is next asks, at first and after a while. */
const NEXT_FROM_MS = 4;
const NEXT_TO_MS = 40;
/** All others have to wait for those ahead anyway: so long for each of them. */
const FOR_EACH_MS = 8;
/** The others come next; the answer has to fit into what the database puts together (4,096 digits). */
const MOST_AT_ONCE = 1_000;
/** It grows with the time that somebody has waited: who waited for a second can wait for another 50 ms. */
const OF_AGE = 1 / 20;

interface Waiting {
  readonly claim: Claim;
  readonly listener: HintListener;
  readonly sinceMs: number;
  dueAtMs: number;
  /** A hint was given, and nothing was asked since. */
  hinted: boolean;
}

/**
 * Where nobody tells a waiter of its turn: asks for all of this process in one statement that changes nothing, often at
 * first and for those who are next, seldom for the others, and never all processes at one instant.
 */
export class Poller {
  private readonly waiting = new Map<string, Waiting>();
  private timer: Timer | undefined;
  private asking = false;
  private closed = false;

  constructor(private readonly session: SqlSession) {}

  /** Tells the listener when it may be the claim's turn. */
  listen(claim: Claim, listener: HintListener): void {
    const nowMs = this.session.clock.now();
    const sinceMs = this.waiting.get(claim.owner)?.sinceMs ?? nowMs;
    const dueAtMs = nowMs + pauseMs(nowMs - sinceMs, 0);
    this.waiting.set(claim.owner, { claim, listener, sinceMs, dueAtMs, hinted: false });
    this.arm();
  }

  /** The claim has just asked, and has to wait on. */
  asked(owner: string): void {
    const one = this.waiting.get(owner);
    if (!one?.hinted) return;
    one.hinted = false;
    this.arm();
  }

  forget(owner: string): void {
    this.waiting.delete(owner);
  }

  close(): void {
    this.closed = true;
    this.waiting.clear();
    this.timer?.clear();
  }

  private arm(): void {
    if (this.asking || this.closed) return;
    this.timer?.clear();
    this.timer = undefined;
    let dueAtMs = Infinity;
    for (const one of this.waiting.values()) if (!one.hinted) dueAtMs = Math.min(dueAtMs, one.dueAtMs);
    if (dueAtMs === Infinity) return;
    const { clock } = this.session;
    this.timer = clock.setTimer(() => void this.ask(), Math.max(1, dueAtMs - clock.now()), true);
  }

  private async ask(): Promise<void> {
    const { clock } = this.session;
    const soonMs = clock.now() + NEXT_FROM_MS / 2;
    const due = [...this.waiting.values()]
      .filter((one) => !one.hinted && one.dueAtMs <= soonMs)
      .slice(0, MOST_AT_ONCE);
    // those for whom the timer was set have left
    if (due.length === 0) return this.arm();
    this.asking = true;
    const answers = await this.turnsOf(due.map(({ claim }) => claim));
    this.asking = false;
    const nowMs = clock.now();
    due.forEach((one, nth) => {
      one.dueAtMs = nowMs + pauseMs(nowMs - one.sinceMs, Math.max(0, Number(answers[nth] ?? 0) - 1));
      // who asked meanwhile, or left, is another one now
      if (answers[nth] !== '1' || this.waiting.get(one.claim.owner) !== one) return;
      one.hinted = true;
      one.listener.hint();
    });
    this.arm();
  }

  /** Nothing when it fails: then those who wait show life by themselves, and learn by that. */
  private async turnsOf(claims: readonly Claim[]): Promise<string> {
    const keys = claims.map(({ key }) => key);
    const owners = claims.map(({ owner }) => owner);
    try {
      const [reply = ''] = await this.session.step('turn', `${claims.length} locks`, [keys, owners]);
      return reply;
    } catch {
      return '';
    }
  }
}

function pauseMs(ageMs: number, ahead: number): number {
  const wholeMs = Math.min(NEXT_TO_MS, Math.max(NEXT_FROM_MS, ageMs * OF_AGE)) + ahead * FOR_EACH_MS;
  return wholeMs * (0.75 + Math.random() / 2);
}
