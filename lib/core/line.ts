import type { Busy, Claim } from '../backends/lock-backend.js';
import type { Failure } from './outcome.js';

/**
 * While this process holds the key itself, the next of its callers waits so long before it takes a place in
 * the server's line. Most work is done sooner, and then its claim travels right behind the release and is
 * granted at once: one round trip for the whole hand-off, and no busy answer in between.
 */
const FOLLOW_UP_MS = 1;
/** So many callers of one process behind each other may be more than ever get their turn. */
const FIRST_CROWD = 1_000;

/** One who stands in a line, as the line sees it. */
export interface LineMember {
  readonly claim: Claim;
  /** True once the server said that it has to wait. */
  readonly waits: boolean;
  /** Who is in the way, by the last answer; and why the last call failed, if it did. */
  readonly busy: Busy | undefined;
  readonly failure: Failure | undefined;
  /** It is the head now: it may talk to the server, after that delay. */
  takeTurn(delayMs: number): void;
  /** Ends its wait if that is over, though its timer has not fired yet; says whether. */
  giveUpIfOver(): boolean;
  /** This process freed the key. */
  hintFromHere(): void;
}

type News = Pick<LineMember, 'busy' | 'failure'>;

const NO_NEWS: News = { busy: undefined, failure: undefined };

/**
 * The lines of one service, by key. The one that fell idle last stays: its key is often the next that is wanted, and
 * a Map that gains and loses its only entry for each lock would be made anew all the time.
 */
export class Lines {
  /** @param onCrowd told of a key that ever more callers wait for, at each doubling */
  constructor(readonly onCrowd: (key: string, waiting: number) => void) {}

  private readonly byKey = new Map<string, Line>();
  private lastIdle: Line | undefined;

  /** How many callers wait in this process. */
  get waiting(): number {
    let waiting = 0;
    for (const line of this.byKey.values()) waiting += line.size;
    return waiting;
  }

  /** To be entered, or told of a grant, at once. */
  of(key: string): Line {
    let line = this.byKey.get(key);
    if (!line) {
      line = new Line(key, this);
      this.byKey.set(key, line);
    }
    return line;
  }

  /** @internal Nobody has business with its key any more. */
  fellIdle(line: Line): void {
    const { lastIdle } = this;
    if (lastIdle && lastIdle !== line && lastIdle.isIdle) this.byKey.delete(lastIdle.key);
    this.lastIdle = line;
  }
}

/**
 * The callers of one key in one process, first come, first served. Only its head talks to the server, so that
 * ten thousand local waiters are one there.
 */
export class Line {
  private head: LineMember | undefined;
  /** Those behind the head, in order of arrival. Most lines never have any. */
  private followers: Set<LineMember> | undefined;
  /** Everybody with a wish for this key, those beside the line too. */
  private present = 0;
  private held = 0;
  private crowd = FIRST_CROWD;
  private lastNews = NO_NEWS;

  constructor(
    readonly key: string,
    private readonly lines: Lines,
  ) {}

  /** How many callers wait in this process. */
  get size(): number {
    return (this.head ? 1 : 0) + (this.followers?.size ?? 0);
  }

  get isAwaited(): boolean {
    return this.head !== undefined;
  }

  get isIdle(): boolean {
    return this.present === 0 && this.held === 0;
  }

  /**
   * Whether a claim may go to the server beside the head: those that do not exclude each other need not queue
   * behind each other, as long as nobody is known to wait.
   */
  admitsBeside(claim: Claim): boolean {
    const { head } = this;
    return head !== undefined && claim.mode !== 'exclusive' && head.claim.mode === claim.mode && !head.waits;
  }

  /** What those behind the head know of the server: what the head was told, or the one before it. */
  get news(): News {
    return this.head?.busy || this.head?.failure ? this.head : this.lastNews;
  }

  enter(): void {
    this.present++;
  }

  /** True when it is the head, and may talk to the server; else its turn comes by `takeTurn`. */
  join(member: LineMember): boolean {
    if (this.head) {
      (this.followers ??= new Set()).add(member);
      if (this.followers.size >= this.crowd) this.tellOfCrowd();
      return false;
    }
    this.head = member;
    return true;
  }

  /** For good; of those who entered, each does so once. */
  leave(member: LineMember): void {
    this.present--;
    if (this.head === member) this.moveUp(this.news);
    else this.followers?.delete(member);
    this.restIfIdle();
  }

  /** A member was granted the key; from here on the process holds it, once more. */
  granted(): void {
    this.held++;
    this.lastNews = NO_NEWS;
  }

  /** The process gave one hold back, or lost it: a hint for the head that needs no message. */
  freed(): void {
    this.held--;
    this.head?.hintFromHere();
    this.restIfIdle();
  }

  private tellOfCrowd(): void {
    this.crowd *= 2;
    this.lines.onCrowd(this.key, this.size);
  }

  private moveUp(news: News): void {
    this.lastNews = this.held > 0 ? NO_NEWS : news;
    this.head = undefined;
    for (const next of this.followers ?? []) {
      // else each of many who came together would ask once more, one after another, when their time is over
      if (next.giveUpIfOver()) continue;
      this.followers?.delete(next);
      this.head = next;
      next.takeTurn(this.held > 0 && next.claim.mode === 'exclusive' ? FOLLOW_UP_MS : 0);
      return;
    }
  }

  private restIfIdle(): void {
    if (!this.isIdle) return;
    this.lastNews = NO_NEWS;
    this.crowd = FIRST_CROWD;
    this.lines.fellIdle(this);
  }
}
