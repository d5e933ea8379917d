import type { BackendContext } from './lock-backend.js';

/** Hints for owners that nobody listens for yet; beyond this many the oldest is dropped, and polling covers for it. */
const MOST_EARLY_HINTS = 1024;

/** A request that the server answered with a place in its line. */
export interface SignOfLife {
  readonly sentAtMs: number;
  /** Until when the place counts as alive by it, in milliseconds of the server's clock. */
  readonly aliveUntil: number;
}

/** A lock that came with a hint. */
export interface HandedOver {
  readonly fence: bigint;
  /** The end of its first lease, and of the place before it: that of the {@link SignOfLife} which was the last one then. */
  readonly aliveUntil: number;
}

/** Who waits for hints. */
export interface HintListener {
  /** @param handedOver when the lock came with the hint */
  hint(handedOver?: HandedOver): void;
  stoodAt(sign: SignOfLife): void;
}

/** What a server tells this process: whose turn it may be, and whose lock was taken away. */
export class Hints {
  private readonly listeners = new Map<string, HintListener>();
  /** A hint may overtake the reply that it belongs to, when that comes over another connection. */
  private readonly early = new Set<string>();

  constructor(protected readonly context: BackendContext) {}

  /** Passes every hint to this owner on, until it is forgotten. */
  listen(owner: string, listener: HintListener): void {
    this.listeners.set(owner, listener);
    if (this.early.delete(owner)) queueMicrotask(() => listener.hint());
  }

  forget(owner: string): void {
    this.listeners.delete(owner);
  }

  forgetAll(): void {
    this.listeners.clear();
  }

  /** Of an owner that waits. */
  stoodAt(owner: string, sign: SignOfLife): void {
    this.listeners.get(owner)?.stoodAt(sign);
  }

  /**
   * @param told an owner whose turn it may be; `=fence|aliveUntil|owner` when that owner holds the lock from now on; or
   *   `!` and one whose lock was taken away. What comes behind a `#` means nothing here
   */
  receive(told: string): void {
    // by hand, not by patterns: it comes after a silence, when each piece of code costs several times as much
    const end = told.indexOf('#');
    const message = end < 0 ? told : told.slice(0, end);
    if (message.startsWith('!')) return this.context.doubt(message.slice(1));
    if (!message.startsWith('=')) return this.hint(message);
    const behindFence = message.indexOf('|');
    const behindEnd = message.indexOf('|', behindFence + 1);
    const fence = Number(message.slice(1, behindFence));
    const aliveUntil = Number(message.slice(behindFence + 1, behindEnd));
    const owner = message.slice(behindEnd + 1);
    // anybody may have sent it, and anything
    if (!Number.isSafeInteger(fence)) return this.hint(owner);
    this.hint(owner, { fence: BigInt(fence), aliveUntil });
  }

  private hint(owner: string, handedOver?: HandedOver): void {
    const listener = this.listeners.get(owner);
    if (listener) listener.hint(handedOver);
    else this.remember(owner);
  }

  wakeAll(): void {
    for (const listener of this.listeners.values()) listener.hint();
  }

  private remember(owner: string): void {
    this.early.add(owner);
    if (this.early.size <= MOST_EARLY_HINTS) return;
    for (const oldest of this.early) {
      this.early.delete(oldest);
      return;
    }
  }
}
