import { reconnectDelayMs } from '../reconnect-delay.js';
import type { OutageReporter } from './outage-reporter.js';
import { closeClient, DISCONNECT_LIMIT_MS } from './own-client.js';
import { speaksResp3, type RedisNode } from './redis-client.js';

/** Who is told what an ear hears. */
export interface Listener {
  readonly channel: string;
  receive(message: string): void;
  /** It hears again; what was said meanwhile is lost. */
  restored(): void;
  /** Something may have been lost, and all who wait had better ask. */
  wakeAll(): void;
  /** It cannot hear, though there is a connection. */
  deaf(reason: unknown): void;
}

/** One subscription to one channel, kept up over lost connections. */
export interface Ear {
  /** True when it goes by the connection that commands go through, so that both are lost and found together. */
  readonly shared: boolean;
  /** Begins. Never rejects: a failure is told, and tried again. */
  open(): Promise<void>;
  /** A connection to the server was lost and found again; this one may be dead without knowing it. */
  refresh(): void;
  close(): Promise<void>;
}

/**
 * The subscription on one server: over the connection of the commands when both sides speak RESP3, else over a second
 * one, because RESP2 takes a connection with a subscription out of use for anything else.
 */
export class RedisEar implements Ear {
  readonly shared: boolean;
  private readonly line: RedisNode;
  private closed = false;
  private readonly channel: Buffer;
  /** As it came: the client makes no texts of what nobody wants as a text. */
  private readonly onMessage = (channel: Buffer, message: Buffer): void => {
    if (channel.equals(this.channel)) this.listener.receive(message.toString());
  };
  private readonly onReady = (): void => void this.restore();

  constructor(
    client: RedisNode,
    private readonly listener: Listener,
    outage: OutageReporter,
  ) {
    this.channel = Buffer.from(listener.channel);
    this.shared = speaksResp3(client);
    this.line = this.shared ? client : secondLine(client, { retryStrategy: reconnectDelayMs });
    if (!this.shared) outage.watch(this.line, 'The subscription');
  }

  async open(): Promise<void> {
    const { line, shared } = this;
    line.on('messageBuffer', this.onMessage);
    try {
      if (!shared) await line.connect();
      await this.subscribe();
    } catch {
      // the client reports it, and goes on trying
    }
    if (!this.closed) line.on('ready', this.onReady);
  }

  refresh(): void {
    if (!this.shared && this.line.status === 'ready') this.line.disconnect(true);
  }

  async close(): Promise<void> {
    const { line, shared } = this;
    this.closed = true;
    line.off('ready', this.onReady);
    line.off('messageBuffer', this.onMessage);
    if (!shared) await closeClient(line);
    else if (line.status === 'ready') void hangUp(line, this.listener.channel);
  }

  private async restore(): Promise<void> {
    await this.subscribe();
    this.listener.restored();
  }

  private async subscribe(): Promise<void> {
    const { line, listener } = this;
    try {
      // the server behind the same address may be another one by now, which does not speak RESP3
      if (this.shared && !speaksResp3(line)) throw new Error('the server does not speak RESP3 any more');
      await line.subscribe(listener.channel);
    } catch (error) {
      // when the connection broke meanwhile, the next one brings us here again
      if (line.status === 'ready') listener.deaf(error);
    }
  }
}

/** A further connection to the same server, for messages only. */
export function secondLine(client: RedisNode, settings: object): RedisNode {
  return client.duplicate({
    lazyConnect: true,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    autoResubscribe: false,
    failoverDetector: false,
    disconnectTimeout: DISCONNECT_LIMIT_MS,
    ...settings,
  });
}

/** Ends a subscription on a connection that goes on; nobody waits for that, and nobody minds when it fails. */
export function hangUp(line: RedisNode, channel: string): Promise<void> {
  return line.unsubscribe(channel).then(
    () => undefined,
    () => undefined,
  );
}
