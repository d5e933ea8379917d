import type { Clock, Timer } from '../../core/clock.js';
import { reconnectDelayMs } from '../reconnect-delay.js';
import { closeClient } from './own-client.js';
import { speaksResp3, type RedisCluster, type RedisNode } from './redis-client.js';
import { hangUp, secondLine, type Ear, type Listener } from './redis-ear.js';

/**
 * The subscription in a cluster: with any one node, because a cluster passes what is published on to all of them. When
 * the connection to that node is lost, another node takes its place.
 */
export class ClusterEar implements Ear {
  readonly shared = false;
  private line: RedisNode | undefined;
  /** Whether it is our own, and not the one that commands to this node go through. */
  private isSecond = false;
  private attempts = 0;
  private timer: Timer | undefined;
  private closed = false;
  private readonly onMessage = (channel: string, message: string): void => {
    if (channel === this.listener.channel) this.listener.receive(message);
  };
  private readonly onClose = (): void => {
    this.leave();
    this.tryLater();
  };

  constructor(
    private readonly cluster: RedisCluster,
    private readonly listener: Listener,
    private readonly clock: Clock,
  ) {}

  async open(): Promise<void> {
    await this.listen();
  }

  refresh(): void {
    this.listener.wakeAll();
    if (this.line || this.timer || this.closed) return;
    // the other nodes did not let us listen; there may be new ones
    void this.listenAgain();
  }

  async close(): Promise<void> {
    this.closed = true;
    this.timer?.clear();
    const { line, isSecond } = this;
    this.leave();
    if (!line) return;
    if (isSecond) await closeClient(line);
    else if (line.status === 'ready') void hangUp(line, this.listener.channel);
  }

  private async listen(): Promise<void> {
    const node = this.anyNode();
    if (!node) return this.tryLater();
    const isSecond = !speaksResp3(node);
    const line = isSecond ? secondLine(node, { retryStrategy: null }) : node;
    // the nodes' own connections tell of the same trouble
    if (isSecond) line.on('error', () => undefined);
    this.line = line;
    this.isSecond = isSecond;
    line.on('message', this.onMessage);
    try {
      if (isSecond) await line.connect();
      await line.subscribe(this.listener.channel);
    } catch (error) {
      if (this.line !== line) return;
      const refused = line.status === 'ready';
      this.leave();
      if (isSecond) void closeClient(line);
      return refused ? this.listener.deaf(error) : this.tryLater();
    }
    if (this.closed || this.line !== line) return;
    line.on('close', this.onClose);
    this.attempts = 0;
  }

  /** Not the same for all processes, so that the nodes share the work. */
  private anyNode(): RedisNode | undefined {
    const nodes = this.cluster.nodes('master').filter(({ status }) => status === 'ready');
    return nodes[Math.floor(Math.random() * nodes.length)];
  }

  private leave(): void {
    this.line?.off('message', this.onMessage);
    this.line?.off('close', this.onClose);
    this.line = undefined;
  }

  private tryLater(): void {
    if (this.closed) return;
    this.timer = this.clock.setTimer(() => void this.listenAgain(), reconnectDelayMs(++this.attempts), true);
  }

  private async listenAgain(): Promise<void> {
    this.timer = undefined;
    await this.listen();
    if (this.line) this.listener.restored();
  }
}
