import type { BackendContext, NodeHealth } from '../lock-backend.js';
import { FailoverWatch } from './failover-watch.js';
import { fenceName, prefixOf } from './key-names.js';
import { HEALTH_LIMIT_MS, healthByVisit, healthOf, isDown, VISIT } from './node-health.js';
import { OutageReporter } from './outage-reporter.js';
import { addressOf, isSentinelClient, type RedisNode } from './redis-client.js';
import { RedisEar, type Ear, type Listener } from './redis-ear.js';
import type { RedisServers } from './redis-servers.js';
import { sentinelHealth } from './sentinel-health.js';
import { checkServer } from './start-check.js';

/** One server at a time: the one at an address, or whichever the Sentinels call the primary. */
export class OneServer implements RedisServers {
  readonly address: string;
  readonly redirects = false;
  private readonly outage: OutageReporter;
  private changed: (() => void) | undefined;
  private failover: FailoverWatch | undefined;
  private lost = false;
  /** Of the prefix that was asked for last: nearly always there is but one. */
  private floor = { prefix: '', name: '' };
  private readonly onClose = (): void => {
    this.lost = true;
  };
  private readonly onReady = (): void => {
    if (!this.lost) return;
    this.lost = false;
    this.changed?.();
  };

  constructor(
    private readonly client: RedisNode,
    private readonly context: BackendContext,
    private readonly own: boolean,
  ) {
    this.address = addressOf(client);
    this.outage = new OutageReporter(context, this.address);
  }

  primaries(): readonly RedisNode[] {
    return [this.client];
  }

  check(): Promise<readonly Error[]> {
    return checkServer(this.client, this.address, 'standalone');
  }

  fenceName(key: string): string {
    if (this.floor.prefix === '' || !key.startsWith(this.floor.prefix)) {
      this.floor = { prefix: `${prefixOf(key)}:`, name: fenceName(key) };
    }
    return this.floor.name;
  }

  witnesses(): readonly string[] {
    return [];
  }

  nodeOf(): RedisNode {
    return this.client;
  }

  slotOf(): number {
    return 0;
  }

  watch(changed: () => void): void {
    this.changed = changed;
    if (this.own) this.outage.watch(this.client, 'The connection');
    if (isSentinelClient(this.client)) this.failover = new FailoverWatch(this.client);
    this.client.on('close', this.onClose);
    this.client.on('ready', this.onReady);
  }

  async unwatch(): Promise<void> {
    this.client.off('close', this.onClose);
    this.client.off('ready', this.onReady);
    await this.failover?.stop();
  }

  ear(listener: Listener): Ear {
    return new RedisEar(this.client, listener, this.outage);
  }

  async health(limitMs = HEALTH_LIMIT_MS): Promise<readonly NodeHealth[]> {
    const { client, context } = this;
    const [primary, others] = await Promise.all([
      this.healthOfPrimary(limitMs),
      isSentinelClient(client) ? sentinelHealth(client, context.clock, limitMs) : [],
    ]);
    return [primary, ...others];
  }

  private async healthOfPrimary(limitMs: number): Promise<NodeHealth> {
    const { client, address, context } = this;
    const health =
      client.status === 'ready'
        ? await healthOf(client, address, context.clock, limitMs)
        : await this.whyNotConnected(limitMs);
    if (health.state === 'down' || health.role === 'primary') return health;
    return isDown(address, new Error(`it is a ${health.role}, which takes no writes`), health.role);
  }

  /** Our own connection only knows that there is none; a new one is told why. */
  private async whyNotConnected(limitMs: number): Promise<NodeHealth> {
    const { client, address, context } = this;
    const health = await healthByVisit(client.duplicate(VISIT), address, context.clock, limitMs);
    if (health.state === 'down') return health;
    return isDown(
      address,
      new Error('it answers, but our connection is still being made again'),
      health.role,
    );
  }
}
