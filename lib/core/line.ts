import type { Claim } from '../backends/lock-backend.js';

/**
 * While this process holds the key itself, the next of its callers waits so long before it takes a place in
 * the server's line. Most work is done sooner, and then its claim travels right behind the release and is
 * granted at once: one round trip for the whole hand-off, and no busy answer in between.
 */
const FOLLOW_UP_MS = 1;

/** One who stands in a line, as the line sees it. */
export interface LineMember {
  readonly claim: Claim;
  /** True once the server said that it has to wait. */
  readonly waits: boolean;
  /** It is the head now: it may talk to the server, after that delay. */
  takeTurn(delayMs: number): void;
  /** This process freed the key. */
  hintFromHere(): void;
  /** The service is closing. */
  close(): void;
}

/**
 * The callers of one key in one process, first come, first served. Only its head talks to the server, so that
 * ten thousand local waiters are one there.
 */
export class Line {
  /** Those who wait for their turn, in order of arrival. */
  private readonly contenders = new Set<LineMember>();
  /** Everybody with a wish for this key, those beside the line too. */
  private readonly present = new Set<LineMember>();
  private held = 0;

  constructor(private readonly onEmpty: () => void) {}

  /** How many callers wait in this process. */
  get size(): number {
    return this.contenders.size;
  }

  get everybody(): readonly LineMember[] {
    return [...this.present];
  }

  private get head(): LineMember | undefined {
    for (const contender of this.contenders) return contender;
    return undefined;
  }

  /**
   * Whether a claim may go to the server beside the head: those that do not exclude each other need not queue
   * behind each other, as long as nobody is known to wait.
   */
  admitsBeside(claim: Claim): boolean {
    const head = this.head;
    return head !== undefined && claim.mode !== 'exclusive' && head.claim.mode === claim.mode && !head.waits;
  }

  enter(contender: LineMember): void {
    this.present.add(contender);
  }

  join(contender: LineMember): void {
    this.contenders.add(contender);
    if (this.contenders.size === 1) contender.takeTurn(0);
  }

  leave(contender: LineMember): void {
    this.present.delete(contender);
    const wasHead = this.head === contender;
    this.contenders.delete(contender);
    const next = wasHead ? this.head : undefined;
    if (next) next.takeTurn(this.held > 0 && next.claim.mode === 'exclusive' ? FOLLOW_UP_MS : 0);
    this.tellIfEmpty();
  }

  /** A contender was granted; from here on the process holds the key, once more. */
  granted(): void {
    this.held++;
  }

  /** The process gave one hold back, or lost it: a hint for the head that needs no message. */
  freed(): void {
    this.held--;
    this.head?.hintFromHere();
    this.tellIfEmpty();
  }

  private tellIfEmpty(): void {
    if (this.present.size === 0 && this.held === 0) this.onEmpty();
  }
}
