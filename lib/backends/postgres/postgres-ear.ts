import type { Timer } from '../../core/clock.js';
import { BackendError } from '../backend-error.js';
import type { Hints } from '../hints.js';
import type { BackendContext } from '../lock-backend.js';
import { reconnectDelayMs } from '../reconnect-delay.js';
import { messageOf } from '../sql/sql-error.js';
import { within } from '../time-limit.js';
import { hangUp, type PostgresClient } from './postgres-client.js';

/** So often a connection on which nothing was said is asked whether it is alive. */
const PULSE_MS = 5_000;
const ANSWER_LIMIT_MS = 5_000;

/**
 * The one connection of this process that listens: to its turns, and to evictions. It comes back by itself; then all
 * who wait ask again, because what was said meanwhile is lost. Until then they poll.
 */
export class PostgresEar {
  private client: PostgresClient | undefined;
  private timer: Timer | undefined;
  private attempt = 0;
  private closed = false;
  private reported = false;

  /** @param make a connection that is not open yet */
  constructor(
    private readonly make: () => PostgresClient,
    private readonly channel: string,
    private readonly hints: Hints,
    private readonly context: BackendContext,
    private readonly server: string,
  ) {}

  /** Begins. Never rejects: a failure is told, and tried again. */
  async open(): Promise<void> {
    let client: PostgresClient;
    try {
      client = this.make();
    } catch (error) {
      return this.tryLater(error);
    }
    this.client = client;
    const lost = (reason: unknown): void => this.lose(client, reason);
    client.on('error', lost);
    client.on('end', () => lost(new Error('the connection was closed')));
    client.on('notification', ({ payload }) => {
      if (payload) this.hints.receive(payload);
    });
    try {
      await within(this.context.clock, ANSWER_LIMIT_MS, this.listen(client));
    } catch (error) {
      lost(error);
    }
  }

  close(): void {
    this.closed = true;
    this.timer?.clear();
    const { client } = this;
    this.client = undefined;
    if (client) hangUp(client);
  }

  private async listen(client: PostgresClient): Promise<void> {
    await client.connect();
    await client.query(`LISTEN "${this.channel}"`);
    if (this.client !== client) return;
    const isBack = this.attempt > 0;
    this.attempt = 0;
    this.reported = false;
    this.arm(PULSE_MS, () => void this.feel(client));
    if (!isBack) return;
    this.context.doubt();
    this.hints.wakeAll();
  }

  /** A peer that vanished says nothing, and neither does one that has nothing to say. */
  private async feel(client: PostgresClient): Promise<void> {
    try {
      await within(this.context.clock, ANSWER_LIMIT_MS, client.query('SELECT 1'));
      if (this.client === client) this.arm(PULSE_MS, () => void this.feel(client));
    } catch (error) {
      this.lose(client, error);
    }
  }

  private lose(client: PostgresClient, reason: unknown): void {
    if (this.client !== client || this.closed) return;
    this.client = undefined;
    hangUp(client);
    this.tryLater(reason);
  }

  private tryLater(reason: unknown): void {
    if (this.closed) return;
    if (!this.reported) this.report(reason);
    this.attempt++;
    this.arm(reconnectDelayMs(this.attempt), () => void this.open());
  }

  private arm(delayMs: number, callback: () => void): void {
    this.timer?.clear();
    if (!this.closed) this.timer = this.context.clock.setTimer(callback, delayMs, true);
  }

  private report(reason: unknown): void {
    this.reported = true;
    const message = `The connection that listens to ${this.server} is down, and is tried again; waiting falls back to polling until then: ${messageOf(reason)}`;
    this.context.report(new BackendError(message, 'unknown'));
  }
}
