import type { BackendContext } from '../lock-backend.js';
import { BackendError } from '../backend-error.js';
import type { RedisClient } from './redis-client.js';

/**
 * Passes on why a connection was lost: once per outage, though the client complains at every attempt. Without
 * a listener it would complain to the console.
 */
export class OutageReporter {
  constructor(
    private readonly context: BackendContext,
    private readonly address: string,
  ) {}

  watch(client: RedisClient, what: string): void {
    let reported = false;
    client.on('ready', () => (reported = false));
    client.on('error', (error: Error) => {
      if (reported) return;
      reported = true;
      const message = `${what} to Redis at ${this.address} is down, and is tried again: ${error.message}`;
      // Its cause is left out: ioredis attaches the command that failed, and with it the password.
      this.context.report(new BackendError(message, 'unknown'));
    });
  }
}
