import type { Clock } from '../../core/clock.js';
import type { BackendContext, NodeHealth } from '../lock-backend.js';
import { BackendError } from '../backend-error.js';
import { ClusterServers } from './cluster-servers.js';
import { OneServer } from './one-server.js';
import { closeClient, createClient } from './own-client.js';
import {
  isCluster,
  isSentinelClient,
  usesTls,
  type RedisClient,
  type RedisNode,
  type RedisOptions,
} from './redis-client.js';
import { cannotStart, isDemoted, isMissingScript, NotSent, redisError } from './redis-error.js';
import { RedisHints } from './redis-hints.js';
import { assertReplicated } from './replica-acks.js';
import type { RedisServers } from './redis-servers.js';
import { sendBehindForerunner } from './forerunner.js';
import { ScriptCall, takesScriptCalls } from './script-call.js';
import type { Step } from './step.js';
import { settingsWarnings } from './risky-settings.js';
import { SilenceWatch } from './silence-watch.js';
import { within } from '../time-limit.js';

/** A server that has not answered by then is said to be down. */
const START_LIMIT_MS = 5000;
/** So many commands go out together. */
const GROUP = 16;

type Stream = NonNullable<RedisNode['stream']>;

/** What `redis()` was given. */
export type RedisTarget =
  | { readonly client: RedisClient }
  | { readonly url?: string | undefined; readonly options?: RedisOptions | undefined };

/** What commands go through, whoever made the client, and however many servers are behind it. */
export class RedisConnection {
  readonly hints: RedisHints;
  readonly servers: RedisServers;
  /** The client, when it can be given our own form of a command. */
  private readonly direct: RedisNode | undefined;
  private silence: SilenceWatch | undefined;
  private gathered = 0;

  private constructor(
    readonly client: RedisClient,
    private readonly context: BackendContext,
    private readonly own: boolean,
  ) {
    this.servers = isCluster(client)
      ? new ClusterServers(client, context, own)
      : new OneServer(client, context, own);
    this.hints = new RedisHints(context);
    this.direct = takesScriptCalls(client) ? client : undefined;
  }

  /** Connects, checks the servers, and teaches them the scripts. Leaves nothing open when it fails. */
  static async open(
    target: RedisTarget,
    context: BackendContext,
    replicas: number,
  ): Promise<RedisConnection> {
    const own = !('client' in target);
    const client = own ? await createClient(target.url, target.options) : target.client;
    const connection = new RedisConnection(client, context, own);
    try {
      await connection.begin(replicas);
    } catch (error) {
      await connection.close();
      throw error instanceof BackendError
        ? error
        : cannotStart(connection.servers.address, error, usesTls(client));
    }
    return connection;
  }

  get clock(): Clock {
    return this.context.clock;
  }

  /** Carries a script out, and says what its reply means. */
  run<T>(step: Step<T>): Promise<T> {
    const { client, direct } = this;
    // Nothing is queued for later, so nothing is carried out behind our back.
    if (client.status !== 'ready') return this.repair(step, new NotSent(client.status));
    const stream = 'stream' in client ? client.stream : undefined;
    const isFirst = stream !== undefined && this.gatherWrites(stream);
    try {
      return direct ? this.callDirectly(direct, step) : this.callByName(client, step);
    } finally {
      if (isFirst) process.nextTick(this.endGathering, stream);
    }
  }

  private callDirectly<T>(direct: RedisNode, step: Step<T>): Promise<T> {
    const call = new ScriptCall(step, this.repair);
    if (step.othersFirst && direct.stream) sendBehindForerunner(direct, direct.stream, call);
    else direct.sendCommand(call as never);
    return call.promise;
  }

  private callByName<T>(client: RedisClient, step: Step<T>): Promise<T> {
    const { script, keyCount, keysAndArguments, read } = step;
    const reply = client.evalsha(script.sha, keyCount, ...keysAndArguments);
    return reply.then(read, (error: unknown) => this.repair(step, error));
  }

  /**
   * The client would hand each command to the system by itself, which costs more than all the rest of it. The
   * first one of a turn of the event loop goes at once; what follows in the same turn goes in groups, small
   * enough that the server works on one while the next is written.
   *
   * @returns whether it is the first one, behind which the end of the turn has to be waited for
   */
  private gatherWrites(stream: Stream): boolean {
    if (++this.gathered === 1) return true;
    if (this.gathered % GROUP === 0) stream.uncork();
    if (this.gathered === 2 || this.gathered % GROUP === 0) stream.cork();
    return false;
  }

  private readonly endGathering = (stream: Stream): void => {
    if (this.gathered > 1) stream.uncork();
    this.gathered = 0;
  };

  /**
   * A server that does not know the script (it was restarted, it became the primary, SCRIPT FLUSH) did nothing, so it
   * is asked again with the whole text, which it keeps. That reaches the right node of a cluster by itself.
   */
  private readonly repair = async <T>(step: Step<T>, failure: unknown): Promise<T> => {
    const what = `${step.verb} ${step.key}`;
    const { client, servers } = this;
    if (isDemoted(failure)) this.moveOn();
    if (!isMissingScript(failure)) throw redisError(what, servers.address, failure);
    let reply: unknown;
    try {
      if (client.status !== 'ready') throw new NotSent(client.status);
      reply = await client.eval(step.script.source, step.keyCount, ...step.keysAndArguments);
    } catch (error) {
      throw redisError(what, servers.address, error);
    }
    return step.read(reply);
  };

  async scan(node: RedisNode, cursor: string, pattern: string, size: string): Promise<[string, string[]]> {
    try {
      if (this.client.status !== 'ready') throw new NotSent(this.client.status);
      return await node.scan(cursor, 'MATCH', pattern, 'COUNT', size);
    } catch (error) {
      throw redisError('list the locks', this.servers.address, error);
    }
  }

  health(limitMs?: number): Promise<readonly NodeHealth[]> {
    return this.servers.health(limitMs);
  }

  async close(): Promise<void> {
    this.silence?.stop();
    await Promise.all([
      this.servers.unwatch(),
      this.hints.close(),
      this.own ? closeClient(this.client) : undefined,
    ]);
  }

  private async begin(replicas: number): Promise<void> {
    const { client, context, own, servers } = this;
    await this.connect();
    const warnings = await this.inTime(servers.check());
    if (replicas > 0)
      await this.inTime(Promise.all(servers.primaries().map((node) => assertReplicated(node, replicas))));
    for (const warning of [...warnings, ...(own ? [] : settingsWarnings(client))]) context.report(warning);
    await this.inTime(this.hints.open(servers.ear(this.hints)));
    servers.watch(() => {
      context.doubt();
      this.hints.refresh();
    });
    if (own) this.silence = new SilenceWatch(() => servers.primaries(), context.clock);
  }

  /** The Sentinels know a better server than one that has become a replica. */
  private moveOn(): void {
    const { client } = this;
    if (client.status === 'ready' && !isCluster(client) && isSentinelClient(client)) client.disconnect(true);
  }

  private async connect(): Promise<void> {
    const { client } = this;
    if (client.status === 'ready') return;
    if (client.status === 'end') throw new Error('the client that was handed in is closed');
    let why: unknown;
    // what a Sentinel says comes first, and tells more than that none of them was of any help
    const note = (error: unknown): void => {
      why ??= error;
    };
    const listen = (toggle: 'on' | 'off'): void => {
      client[toggle]('error', note);
      if (!isCluster(client)) client[toggle]('sentinelError', note);
    };
    const giveUp = new AbortController();
    listen('on');
    try {
      await this.inTime(client.status === 'wait' ? client.connect() : becomesReady(client, giveUp.signal));
    } catch (error) {
      throw why ?? error;
    } finally {
      giveUp.abort();
      // a client of our own that is about to be closed would complain to the console without it
      if (!this.own) listen('off');
    }
  }

  private inTime<T>(work: Promise<T>): Promise<T> {
    return within(this.context.clock, START_LIMIT_MS, work);
  }
}

/** Until it is given up: somebody else's client may be connecting for as long as it likes. */
function becomesReady(client: RedisClient, givenUp: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onReady = (): void => settle(resolve);
    const onClose = (): void => settle(() => reject(new Error('the connection was closed')));
    const settle = (then: () => void): void => {
      client.off('ready', onReady);
      client.off('close', onClose);
      then();
    };
    client.on('ready', onReady);
    client.on('close', onClose);
    givenUp.addEventListener('abort', () => settle(() => undefined), { once: true });
  });
}
