import { Logger } from '@nestjs/common';
import type { Clock } from './core/clock.js';
import type { LockEvent } from './core/events.js';

/** A lock server that is down may fail every few milliseconds, and says the same each time. */
const SAME_MESSAGE_MS = 30_000;

/** What of the events belongs in the log of an application: what somebody may have to act on, once. */
export class LockLog {
  private readonly logger: Logger;
  /** Keys of which it was said that something may be left behind. */
  private readonly owed = new Set<string>();
  private latest: { readonly message: string; readonly atMs: number } | undefined;

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

  private writeError({ message }: Error): void {
    const atMs = this.clock.now();
    const { latest } = this;
    if (latest?.message === message && atMs - latest.atMs < SAME_MESSAGE_MS) return;
    this.latest = { message, atMs };
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
