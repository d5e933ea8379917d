import type { Timer } from '../../core/clock.js';
import type { BackendContext, LockMode, NodeHealth } from '../lock-backend.js';
import { BackendError } from '../backend-error.js';
import { ClusterEar } from './cluster-ear.js';
import { holdersName, lockName } from './key-names.js';
import { membersIn, type ClusterMember } from './cluster-members.js';
import { HEALTH_LIMIT_MS, healthByVisit, healthOf, isDown, VISIT } from './node-health.js';
import { OutageReporter } from './outage-reporter.js';
import { addressOf, keyPrefixOf, knownOptions, type RedisCluster, type RedisNode } from './redis-client.js';
import type { Ear, Listener } from './redis-ear.js';
import { assertCovered } from './redis-server-info.js';
import type { RedisServers } from './redis-servers.js';
import { SlotFences } from './slot-fences.js';
import { slotOf } from './slots.js';
import { checkServer } from './start-check.js';
import { within } from '../time-limit.js';

/** A slot that was moved is found by its first redirection; a primary that nobody asks for is found by this. */
const REFRESH_MS = 2_000;

interface Members {
  readonly nodes: readonly RedisNode[];
  readonly replicas: ReadonlySet<RedisNode>;
}

const NOBODY: Members = { nodes: [], replicas: new Set() };

/** The servers of a cluster. */
export class ClusterServers implements RedisServers {
  readonly address: string;
  readonly redirects = true;
  private readonly clientPrefix: string;
  private readonly fences: SlotFences;
  private changed: (() => void) | undefined;
  private refreshTimer: Timer | undefined;
  private known = '';
  private latest: Members = NOBODY;
  private readonly onRefresh = (): void => {
    this.latest = this.members();
    const known = this.whoIsPrimary();
    if (known === this.known) return;
    this.known = known;
    this.changed?.();
  };
  private readonly onNode = (node: RedisNode): void => {
    // one that is out of reach is tried, and comes and goes, several times a second
    node.on('ready', () => {
      // replicas are of no use to us
      if (this.client.nodes('master').includes(node)) this.changed?.();
    });
  };

  constructor(
    private readonly client: RedisCluster,
    private readonly context: BackendContext,
    private readonly own: boolean,
  ) {
    this.address = addressOf(client);
    this.clientPrefix = keyPrefixOf(client);
    this.fences = new SlotFences(this.clientPrefix);
  }

  primaries(): readonly RedisNode[] {
    return this.client.nodes('master');
  }

  async check(): Promise<readonly Error[]> {
    this.assertPrefix();
    const [any] = this.primaries();
    if (!any) throw new Error('no node is known');
    assertCovered(String(await any.call('CLUSTER', 'INFO')), this.address);
    const warnings = await Promise.all(
      this.primaries().map((node) => checkServer(node, addressOf(node), 'cluster')),
    );
    return warnings.flat();
  }

  fenceName(key: string): string {
    return this.fences.nameFor(key);
  }

  witnesses(key: string, mode?: LockMode): readonly string[] {
    // an exclusive lock is one key
    return mode === 'exclusive' ? [] : [holdersName(key)];
  }

  nodeOf(key: string): RedisNode | undefined {
    const [owner] = this.client.slots[this.slotOf(key)] ?? [];
    return this.primaries().find((node) => addressOf(node) === owner);
  }

  slotOf(key: string): number {
    return slotOf(this.clientPrefix + lockName(key));
  }

  watch(changed: () => void): void {
    this.changed = changed;
    this.known = this.whoIsPrimary();
    this.latest = this.members();
    if (this.own) new OutageReporter(this.context, this.address).watch(this.client, 'The connection');
    this.client.on('refresh', this.onRefresh);
    this.client.on('+node', this.onNode);
    if (this.own) this.refreshLater();
  }

  async unwatch(): Promise<void> {
    this.changed = undefined;
    this.client.off('refresh', this.onRefresh);
    this.client.off('+node', this.onNode);
    this.refreshTimer?.clear();
  }

  ear(listener: Listener): Ear {
    return new ClusterEar(this.client, listener, this.context.clock);
  }

  async health(limitMs = HEALTH_LIMIT_MS): Promise<readonly NodeHealth[]> {
    const current = this.members();
    const untilMs = this.context.clock.now() + limitMs;
    const [connected, others] = await Promise.all([
      this.healthOfAll(current.nodes, current, limitMs),
      this.healthOfOthers(current.nodes, untilMs),
    ]);
    return [...connected, ...others];
  }

  private healthOfAll(
    nodes: readonly RedisNode[],
    { replicas }: Members,
    limitMs: number,
  ): Promise<readonly NodeHealth[]> {
    return Promise.all(
      nodes.map(async (node) =>
        asMember(
          await this.healthOf(node, addressOf(node), limitMs),
          replicas.has(node) ? 'replica' : 'primary',
        ),
      ),
    );
  }

  private members(): Members {
    return { nodes: this.client.nodes('all'), replicas: new Set(this.client.nodes('slave')) };
  }

  /** Not by the client's own interval: one that is closed while it refreshes goes on for ever, and so does the process. */
  private refreshLater(): void {
    const refresh = (): void => {
      if (this.client.status === 'ready') this.client.refreshSlotsCache();
      this.refreshLater();
    };
    this.refreshTimer = this.context.clock.setTimer(refresh, REFRESH_MS, true);
  }

  private healthOf(node: RedisNode, address: string, limitMs: number, where?: object): Promise<NodeHealth> {
    const { clock } = this.context;
    if (!where && node.status === 'ready') return healthOf(node, address, clock, limitMs);
    return healthByVisit(node.duplicate({ ...VISIT, ...where }), address, clock, limitMs);
  }

  /** Those that the cluster knows and the client has no connection for: they failed, or are on their way. */
  private async healthOfOthers(nodes: readonly RedisNode[], untilMs: number): Promise<readonly NodeHealth[]> {
    const { clock } = this.context;
    const known = new Set(nodes.map(addressOf));
    const ready = nodes.filter(({ status }) => status === 'ready');
    const members = await this.membersToldBy(ready, untilMs);
    const [any] = ready;
    if (!any || !members) {
      // a client that loses its nodes forgets them, one after another; those of before can be asked why
      const forgotten = this.latest.nodes.filter((node) => !known.has(addressOf(node)));
      return this.healthOfAll(forgotten, this.latest, Math.max(1, untilMs - clock.now()));
    }
    const others = members.filter(({ host, port }) => !known.has(`${host}:${port}`));
    return Promise.all(
      others.map(async ({ host, port, role, failed }) => {
        const address = `${host}:${port}`;
        const error = new Error('the cluster says that it has failed');
        if (failed) return asMember(isDown(address, error), role);
        const leftMs = Math.max(1, untilMs - clock.now());
        return asMember(await this.healthOf(any, address, leftMs, { host, port }), role);
      }),
    );
  }

  /** Undefined when nobody tells; or when addresses are translated, and nobody here knows which are the same. */
  private membersToldBy(
    nodes: readonly RedisNode[],
    untilMs: number,
  ): Promise<ClusterMember[] | undefined> | undefined {
    const { clock } = this.context;
    if (knownOptions(this.client).natMap) return undefined;
    // the first who answers will do: another one may be silent until the end
    return Promise.any(
      nodes.map((node) => within(clock, untilMs - clock.now(), node.call('CLUSTER', 'NODES'))),
    ).then(membersIn, () => undefined);
  }

  /** A prefix with braces of its own may tear the keys of a lock apart. */
  private assertPrefix(): void {
    const name = this.clientPrefix + lockName('any');
    if (slotOf(name) === slotOf(`${name}:held`)) return;
    throw new BackendError(
      `The keyPrefix "${this.clientPrefix}" of the Cluster client scatters the keys of one lock over several slots: take the braces out of it.`,
      'denied',
    );
  }

  private whoIsPrimary(): string {
    return this.primaries().map(addressOf).sort().join(' ');
  }
}

/** What the cluster takes it for decides when it does not say so itself. */
function asMember(health: NodeHealth, known: string): NodeHealth {
  const role = health.state === 'down' || known === 'spare' ? known : health.role;
  return role === 'primary' ? { ...health, role } : { ...health, role, spare: true };
}
