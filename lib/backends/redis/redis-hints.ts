import { randomBytes } from 'node:crypto';
import type { BackendContext } from '../lock-backend.js';
import { BackendError } from '../backend-error.js';
import type { Ear, Listener } from './redis-ear.js';
import { messageOf } from './redis-error.js';

/** Hints for owners that nobody listens for yet; beyond this many the oldest is dropped, and polling covers for it. */
const MOST_EARLY_HINTS = 1024;

/**
 * What the server tells this process: whose turn it may be, and whose lock was taken away. One subscription
 * serves all locks. It is opened at the start, not with the first waiter: holders are told of an eviction too,
 * and no hint is lost while it is being made.
 */
export class RedisHints implements Listener {
  /** Only this backend listens to it; the scripts find it in the places and in the holders. */
  readonly channel = `interlock:${randomBytes(16).toString('base64url')}`;
  private readonly wakes = new Map<string, () => void>();
  /** A hint may overtake the reply that it belongs to, when that comes over another connection. */
  private readonly early = new Set<string>();
  private ear: Ear | undefined;

  constructor(private readonly context: BackendContext) {}

  /** Starts to listen. Without a subscription the waiters poll, so a failure is reported and no more. */
  async open(ear: Ear): Promise<void> {
    this.ear = ear;
    await ear.open();
  }

  /** Calls `wake` for every hint to this owner, until it is forgotten. */
  listen(owner: string, wake: () => void): void {
    this.wakes.set(owner, wake);
    if (this.early.delete(owner)) queueMicrotask(wake);
  }

  forget(owner: string): void {
    this.wakes.delete(owner);
  }

  /** A connection for commands was lost and found again. */
  refresh(): void {
    this.ear?.refresh();
  }

  async close(): Promise<void> {
    this.wakes.clear();
    await this.ear?.close();
  }

  receive(message: string): void {
    if (message.startsWith('!')) {
      this.context.doubt(message.slice(1));
      return;
    }
    const wake = this.wakes.get(message);
    if (wake) wake();
    else this.remember(message);
  }

  restored(): void {
    // a connection that commands share has been doubted with them
    if (!this.ear?.shared) this.context.doubt();
    this.wakeAll();
  }

  deaf(reason: unknown): void {
    const message = `Redis does not let us listen to channels "interlock:*", so waiting falls back to polling (${messageOf(reason)}).`;
    this.context.report(new BackendError(message, 'denied', { cause: reason }));
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
