import type { BackendContext } from './lock-backend.js';

/** Hints for owners that nobody listens for yet; beyond this many the oldest is dropped, and polling covers for it. */
const MOST_EARLY_HINTS = 1024;

/** What a server tells this process: whose turn it may be, and whose lock was taken away. */
export class Hints {
  private readonly wakes = new Map<string, () => void>();
  /** A hint may overtake the reply that it belongs to, when that comes over another connection. */
  private readonly early = new Set<string>();

  constructor(protected readonly context: BackendContext) {}

  /** Calls `wake` for every hint to this owner, until it is forgotten. */
  listen(owner: string, wake: () => void): void {
    this.wakes.set(owner, wake);
    if (this.early.delete(owner)) queueMicrotask(wake);
  }

  forget(owner: string): void {
    this.wakes.delete(owner);
  }

  forgetAll(): void {
    this.wakes.clear();
  }

  /** @param message an owner whose turn it may be, or `!` and one whose lock was taken away */
  receive(message: string): void {
    if (message.startsWith('!')) {
      this.context.doubt(message.slice(1));
      return;
    }
    const wake = this.wakes.get(message);
    if (wake) wake();
    else this.remember(message);
  }

  wakeAll(): void {
    for (const wake of this.wakes.values()) wake();
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
