import { Logger } from '@nestjs/common';
import type { Clock } from './core/clock.js';
import { errorMessage } from './core/errors.js';
import type { LockEvent } from './core/events.js';

/** A lock server that is down may fail every few milliseconds, and says the same each time. */
const SAME_MESSAGE_MS = 30_000;
const MOST_MESSAGES = 100;

/** What of the events belongs in the log of an application: what somebody may have to act on, once. */
export class LockLog {
  private readonly logger: Logger;
  /** Keys of which it was said that something may be left behind. */
  private readonly owed = new Set<string>();
  /** What was said, and when; the latest last. */
  private readonly said = new Map<string, number>();

  constructor(
    private readonly clock: Clock,
    context: string,
  ) {
    this.logger = new Logger(context);
  }

  write(event: LockEvent): void {
    switch (event.type) {
      case 'lost':
        return this.warn(`The lock "${event.key}" (fence ${event.fence}) was lost: ${event.reason}.`);
      case 'release-failed':
        return this.warn(event.error.message);
      case 'backend-error':
        return this.writeError(event.error);
      case 'cleanup-owed':
        return this.writeOwed(event.key, event.error);
      case 'cleanup-paid':
      case 'cleanup-expired':
        this.owed.delete(event.key);
        return;
      case 'node-down':
        return this.warn(`The lock server ${event.node} (${event.role}) is down: ${event.error}`);
      case 'node-up':
        return this.logger.log(`The lock server ${event.node} (${event.role}) is up again.`);
      case 'skipped':
        return this.logger.debug(`${event.site} was skipped ("${event.key}"): ${event.why}.`);
      case 'renewed-late':
        return this.warnOnce(
          'renewed-late',
          `The event loop was blocked for ${Math.round(event.lagMs)} ms, so the lock "${event.key}" was renewed that much too late; after its ttl of ${event.ttlMs} ms it would be lost. Move long computations into a worker thread, or give it a longer ttl.`,
        );
      case 'held-long':
        return this.warnOnce(
          'held-long',
          `The lock "${event.key}" (fence ${event.fence}) has been held for ${Math.round(event.heldMs)} ms, many times its ttl of ${event.ttlMs} ms. If its release was forgotten, use @Locked or using; if the work is hanging, limit it by atMost.`,
        );
      case 'crowded':
        return this.warn(
          `${event.waiting} callers of this process wait for the lock "${event.key}". If they become ever more, shorten the work under the lock or the wait, lock smaller parts, or let several in by permits.`,
        );
      case 'elected':
        return this.logger.log(`This replica leads "${event.group}" from here on (term ${event.term}).`);
      case 'deposed':
        return this.logger.log(`This replica does not lead "${event.group}" any more (term ${event.term}).`);
      case 'waiting':
      case 'acquired':
      case 'reentered':
      case 'busy':
      case 'unavailable':
      case 'released':
        // whoever called knows
        return;
    }
  }

  warn(message: string): void {
    this.logger.warn(message);
  }

  listenerThrew(error: unknown): void {
    const message = `A listener of events$ threw, and goes on listening: ${errorMessage(error)}`;
    this.warnOnce(message, message);
  }

  /** Nobody else sees these locks, and NODE_ENV says that this is production. */
  alone(): void {
    this.warn(
      'The locks are kept inside this process, and NODE_ENV is production: other replicas do not see them. Give LockModule a backend, like redis(url), unless the application runs only once.',
    );
  }

  private writeError({ message }: Error): void {
    this.warnOnce(message, message);
  }

  /** The same again only after a while. */
  private warnOnce(what: string, message: string): void {
    const atMs = this.clock.now();
    const saidAtMs = this.said.get(what);
    if (saidAtMs !== undefined && atMs - saidAtMs < SAME_MESSAGE_MS) return;
    this.said.delete(what);
    for (const oldest of this.said.size >= MOST_MESSAGES ? this.said.keys() : []) {
      this.said.delete(oldest);
      break;
    }
    this.said.set(what, atMs);
    this.warn(message);
  }

  private writeOwed(key: string, { message }: Error): void {
    if (this.owed.has(key)) return;
    this.owed.add(key);
    this.warn(
      `Something of "${key}" may be left on the lock server (${message.replace(/\.$/, '')}); it is cleaned up in the background, and gone at its ttl at the latest.`,
    );
  }
}
