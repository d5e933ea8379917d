import type { Clock, Timer } from '../../core/clock.js';
import { reconnectDelayMs } from '../reconnect-delay.js';
import { closeClient } from './own-client.js';
import { speaksResp3, type RedisCluster, type RedisNode } from './redis-client.js';
import { hangUp, secondLine, type Ear, type Listener } from './redis-ear.js';

/** Copies of a message come within milliseconds of each other, or not at all. */
const MOST_REMEMBERED = 4_096;

/** The subscription with one node. */
interface Line {
  readonly client: RedisNode;
  /** Whether it is our own, and not the one that commands to this node go through. */
  readonly isSecond: boolean;
  readonly onClose: () => void;
}

/**
 * The subscription in a cluster: with each primary. A cluster passes what is published on to all nodes, so one would do,
 * but messages that follow each other closely wait for each other on the way between the nodes (ADR 9). Each message
 * is passed on once. When the connection to a node is lost, the others are heard all the same.
 */
export class ClusterEar implements Ear {
  readonly shared = false;
  private readonly lines = new Map<RedisNode, Line>();
  private attempts = 0;
  private timer: Timer | undefined;
  private wasLost = false;
  private isDeaf = false;
  private closed = false;
  /** Of the last messages, each of which comes by every node. */
  private readonly heard = new Set<string>();
  private readonly onMessage = (channel: string, message: string): void => {
    if (channel !== this.listener.channel || this.heard.has(message)) return;
    this.heard.add(message);
    if (this.heard.size > MOST_REMEMBERED) this.heard.delete(this.heard.values().next().value ?? '');
    this.listener.receive(message);
  };

  constructor(
    private readonly cluster: RedisCluster,
    private readonly listener: Listener,
    private readonly clock: Clock,
  ) {}

  open(): Promise<void> {
    return this.listen();
  }

  refresh(): void {
    this.listener.wakeAll();
    void this.listen();
  }

  async close(): Promise<void> {
    this.closed = true;
    this.timer?.clear();
    const ended = [...this.lines].map(([node, line]) => this.end(node, line));
    await Promise.all(ended);
  }

  /** With all primaries that are in reach and not listened to yet. */
  private async listen(): Promise<void> {
    if (this.closed) return;
    const ready = this.cluster.nodes('master').filter(({ status }) => status === 'ready');
    const fresh = ready.filter((node) => !this.lines.has(node));
    const heard = await Promise.all(fresh.map((node) => this.listenTo(node)));
    if (this.lines.size === 0 && !this.isDeaf) return this.tryLater();
    if (!this.wasLost || !heard.includes(true)) return;
    this.wasLost = false;
    this.listener.restored();
  }

  private async listenTo(node: RedisNode): Promise<boolean> {
    const isSecond = !speaksResp3(node);
    const client = isSecond ? secondLine(node, { retryStrategy: null }) : node;
    const line: Line = { client, isSecond, onClose: () => this.lose(node, line) };
    // the nodes' own connections tell of the same trouble
    if (isSecond) client.on('error', () => undefined);
    this.lines.set(node, line);
    client.on('message', this.onMessage);
    try {
      if (isSecond) await client.connect();
      await client.subscribe(this.listener.channel);
    } catch (error) {
      const refused = client.status === 'ready';
      if (this.lines.get(node) === line) this.lose(node, line, refused);
      if (isSecond) void closeClient(client);
      if (refused) this.refuse(error);
      return false;
    }
    if (this.closed || this.lines.get(node) !== line) return false;
    client.on('close', line.onClose);
    this.attempts = 0;
    this.isDeaf = false;
    return true;
  }

  private lose(node: RedisNode, line: Line, refused = false): void {
    this.forget(node, line);
    this.wasLost = true;
    if (!refused) this.tryLater();
  }

  private forget(node: RedisNode, { client, onClose }: Line): void {
    client.off('message', this.onMessage);
    client.off('close', onClose);
    this.lines.delete(node);
  }

  private async end(node: RedisNode, line: Line): Promise<void> {
    this.forget(node, line);
    const { client, isSecond } = line;
    if (isSecond) await closeClient(client);
    else if (client.status === 'ready') void hangUp(client, this.listener.channel);
  }

  /** Told once: whom one node does not let listen, the others do not either. */
  private refuse(error: unknown): void {
    if (this.isDeaf) return;
    this.isDeaf = true;
    this.listener.deaf(error);
  }

  private tryLater(): void {
    if (this.closed || this.timer) return;
    const again = (): void => {
      this.timer = undefined;
      void this.listen();
    };
    this.timer = this.clock.setTimer(again, reconnectDelayMs(++this.attempts), true);
  }
}
