import type { Claim } from '../lock-backend.js';

/** For so long after a sign of life a place in the line is kept, and a lock that was handed to it: the scripts' SILENCE_MS. */
export const SILENCE_MS = 1000;

/** What claims are to the scripts: a kind, whom to tell, and who is told or has a place. */
export class Wishes {
  /** Behind the kind of a holder or a place; nothing without a lockDelay. */
  private readonly delay: string;
  private readonly exclusive: string;
  private readonly takingOver: string;

  /**
   * @param channel that this process listens to
   * @param handsOver whether a lock may come with a message
   */
  constructor(
    private readonly channel: string,
    private readonly lockDelayMs: number,
    handsOver: boolean,
  ) {
    this.delay = lockDelayMs > 0 ? `+${lockDelayMs}` : '';
    this.exclusive = `e${this.delay}|${channel}`;
    // a lockDelay is for those who knew of their lease
    this.takingOver = handsOver && lockDelayMs === 0 ? `e|=${channel}` : this.exclusive;
  }

  /** Kind and channel. A lease that nobody renews, or a short one, has to have its ttl from the start. */
  of({ mode, take, of, firm, ttlMs }: Claim): string {
    if (mode === 'exclusive') return firm || ttlMs < SILENCE_MS ? this.exclusive : this.takingOver;
    const { delay, channel } = this;
    return mode === 'shared' ? `s${delay}|${channel}` : `p,${take},${of}${delay}|${channel}`;
  }

  /** Its place in the line. */
  placeOf(claim: Claim): string {
    return `${this.of(claim)}|${claim.owner}`;
  }

  /** For how long the server keeps a lease and the lockDelay behind it; undefined without one. */
  wholeOf(ttlMs: number): string | undefined {
    return this.lockDelayMs === 0 ? undefined : String(ttlMs + this.lockDelayMs);
  }
}
