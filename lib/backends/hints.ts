import type { BackendContext } from './lock-backend.js';

/** Hints for owners that nobody listens for yet; beyond this many the oldest is dropped, and polling covers for it. */
const MOST_EARLY_HINTS = 1024;

/** Who waits for hints. */
export interface HintListener {
  /** @param fence when the lock came with the hint */
  hint(fence?: bigint): void;
  /** The server answered, to a request that was sent then, that it stands in the line. */
  stoodAt(sentAtMs: number): void;
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
  stoodAt(owner: string, sentAtMs: number): void {
    this.listeners.get(owner)?.stoodAt(sentAtMs);
  }

  /**
   * @param message an owner whose turn it may be; `=`, a fence, `|` and the owner that holds the lock by it from now on;
   *   or `!` and one whose lock was taken away
   */
  receive(message: string): void {
    if (message.startsWith('!')) return this.context.doubt(message.slice(1));
    const end = message.startsWith('=') ? message.indexOf('|') : 0;
    const owner = end > 0 ? message.slice(end + 1) : message;
    const listener = this.listeners.get(owner);
    if (!listener) this.remember(owner);
    else if (end > 0) listener.hint(BigInt(message.slice(1, end)));
    else listener.hint();
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
