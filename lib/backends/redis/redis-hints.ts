import { randomBytes } from 'node:crypto';
import type { BackendContext } from '../lock-backend.js';
import { BackendError } from '../backend-error.js';
import type { OutageReporter } from './outage-reporter.js';
import { closeClient, DISCONNECT_LIMIT_MS, reconnectDelayMs } from './own-client.js';
import type { RedisClient } from './redis-client.js';
import { messageOf } from './redis-error.js';

/** Hints for owners that nobody listens for yet; beyond this many the oldest is dropped, and polling covers for it. */
const MOST_EARLY_HINTS = 1024;

/**
 * What the server tells this process: whose turn it may be, and whose lock was taken away. One subscription
 * serves all locks. It is opened at the start, not with the first waiter: holders are told of an eviction too,
 * and no hint is lost while it is being made.
 */
export class RedisHints {
  /** Only this backend listens to it; the scripts find it in the places and in the holders. */
  readonly channel = `interlock:${randomBytes(16).toString('base64url')}`;
  private readonly wakes = new Map<string, () => void>();
  /** A hint may overtake the reply that it belongs to, because that comes over another connection. */
  private readonly early = new Set<string>();
  private readonly subscriber: RedisClient;

  constructor(
    client: RedisClient,
    private readonly context: BackendContext,
    outage: OutageReporter,
  ) {
    this.subscriber = client.duplicate({
      lazyConnect: true,
      enableOfflineQueue: false,
      enableReadyCheck: false,
      autoResubscribe: false,
      disconnectTimeout: DISCONNECT_LIMIT_MS,
      retryStrategy: reconnectDelayMs,
    });
    outage.watch(this.subscriber, 'The subscription');
  }

  /** Starts to listen. Without a subscription the waiters poll, so a failure is reported and no more. */
  async open(): Promise<void> {
    const { subscriber } = this;
    try {
      await subscriber.connect();
      await this.subscribe();
    } catch {
      // the client reports it, and goes on trying
    }
    subscriber.on('ready', () => void this.resubscribe());
    subscriber.on('message', (_channel: string, message: string) => this.receive(message));
  }

  /** Calls `wake` for every hint to this owner, until it is forgotten. */
  listen(owner: string, wake: () => void): void {
    this.wakes.set(owner, wake);
    if (this.early.delete(owner)) queueMicrotask(wake);
  }

  forget(owner: string): void {
    this.wakes.delete(owner);
  }

  /** The other connection was lost; this one may be dead without knowing it. */
  refresh(): void {
    if (this.subscriber.status === 'ready') this.subscriber.disconnect(true);
  }

  async close(): Promise<void> {
    this.wakes.clear();
    await closeClient(this.subscriber);
  }

  private async resubscribe(): Promise<void> {
    await this.subscribe();
    // What was published while nobody listened is lost.
    this.context.doubt();
    for (const wake of this.wakes.values()) wake();
  }

  private async subscribe(): Promise<void> {
    const { subscriber } = this;
    try {
      await subscriber.subscribe(this.channel);
    } catch (error) {
      // when the connection broke meanwhile, the next one brings us here again
      if (subscriber.status === 'ready') this.context.report(deaf(error));
    }
  }

  private receive(message: string): void {
    if (message.startsWith('!')) {
      this.context.doubt(message.slice(1));
      return;
    }
    const wake = this.wakes.get(message);
    if (wake) wake();
    else this.remember(message);
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

function deaf(reason: unknown): BackendError {
  const message = `Redis does not let us listen to channels "interlock:*", so waiting falls back to polling (${messageOf(reason)}).`;
  return new BackendError(message, 'denied', { cause: reason });
}
