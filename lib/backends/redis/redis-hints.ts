import { randomBytes } from 'node:crypto';
import { BackendError } from '../backend-error.js';
import { Hints } from '../hints.js';
import type { Ear, Listener } from './redis-ear.js';
import { messageOf } from './redis-error.js';

/**
 * One subscription serves all locks. It is opened at the start, not with the first waiter: holders are told of an
 * eviction too, and no hint is lost while it is being made.
 */
export class RedisHints extends Hints implements Listener {
  /** Only this backend listens to it; the scripts find it in the places and in the holders. */
  readonly channel = `interlock:${randomBytes(16).toString('base64url')}`;
  private ear: Ear | undefined;

  /** Starts to listen. Without a subscription the waiters poll, so a failure is reported and no more. */
  async open(ear: Ear): Promise<void> {
    this.ear = ear;
    await ear.open();
  }

  /** A connection for commands was lost and found again. */
  refresh(): void {
    this.ear?.refresh();
  }

  async close(): Promise<void> {
    this.forgetAll();
    await this.ear?.close();
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
}
