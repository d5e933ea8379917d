import type { Clock } from '../../core/clock.js';
import type { BackendContext, NodeHealth } from '../lock-backend.js';
import { BackendError } from '../backend-error.js';
import { OutageReporter } from './outage-reporter.js';
import { closeClient, createClient } from './own-client.js';
import { addressOf, isSentinelClient, type RedisClient, type RedisOptions } from './redis-client.js';
import { cannotStart, isMissingScript, messageOf, NotSent, redisError } from './redis-error.js';
import { RedisHints } from './redis-hints.js';
import { allScripts, type RedisScript } from './redis-script.js';
import { SilenceWatch } from './silence-watch.js';
import { assertUsable, evictionWarning, parseInfo } from './redis-server-info.js';

/** A server that has not answered by then is said to be down. */
const START_LIMIT_MS = 5000;
const HEALTH_LIMIT_MS = 1000;
/** So many commands go out together. */
const GROUP = 16;

/** What `redis()` was given. */
export type RedisTarget =
  | { readonly client: RedisClient }
  | { readonly url?: string | undefined; readonly options?: RedisOptions | undefined };

/** One step on one lock, or on several. */
export interface Step {
  readonly verb: string;
  readonly key: string;
  readonly script: RedisScript;
  readonly keyCount: number;
  readonly keysAndArguments: readonly string[];
}

/** The connection that commands go through, whoever made the client. */
export class RedisConnection {
  readonly address: string;
  readonly hints: RedisHints;
  private readonly outage: OutageReporter;
  private silence: SilenceWatch | undefined;
  private lost = false;
  private gathered = 0;
  private readonly onClose = (): void => {
    this.lost = true;
  };
  private readonly onReady = (): void => {
    if (!this.lost) return;
    this.lost = false;
    this.hints.refresh();
    this.context.doubt();
  };

  private constructor(
    readonly client: RedisClient,
    private readonly context: BackendContext,
    private readonly own: boolean,
  ) {
    this.address = addressOf(client);
    this.outage = new OutageReporter(context, this.address);
    this.hints = new RedisHints(client, context, this.outage);
  }

  /** Connects, checks the server, and teaches it the scripts. Leaves nothing open when it fails. */
  static async open(target: RedisTarget, context: BackendContext): Promise<RedisConnection> {
    const own = !('client' in target);
    const client = own ? await createClient(target.url, target.options) : target.client;
    if (client.isCluster) throw unsupported('a Cluster client');
    if (isSentinelClient(client)) throw unsupported('the address of Sentinels');
    const connection = new RedisConnection(client, context, own);
    try {
      await connection.within(START_LIMIT_MS, connection.connect());
      await connection.within(START_LIMIT_MS, connection.check());
      await connection.within(START_LIMIT_MS, connection.hints.open());
    } catch (error) {
      await connection.close();
      throw error instanceof BackendError ? error : cannotStart(connection.address, error);
    }
    if (own) {
      connection.outage.watch(client, 'The connection');
      connection.silence = new SilenceWatch(client, context.clock);
    }
    client.on('close', connection.onClose);
    client.on('ready', connection.onReady);
    return connection;
  }

  get clock(): Clock {
    return this.context.clock;
  }

  /** Carries a script out. */
  async run(step: Step): Promise<unknown> {
    try {
      return await this.send(step);
    } catch (error) {
      return this.repair(step, error);
    }
  }

  /**
   * The first half of `run`; the other one is `repair`. Apart, because a further promise for each step is felt:
   * the steps that are taken most often put the halves together themselves.
   */
  send({ script, keyCount, keysAndArguments }: Step): Promise<unknown> {
    const { client } = this;
    // Nothing is queued for later, so nothing is carried out behind our back.
    if (client.status !== 'ready') throw new NotSent(client.status);
    this.gatherWrites();
    return client.evalsha(script.sha, keyCount, ...keysAndArguments);
  }

  /**
   * The client would hand each command to the system by itself, which costs more than all the rest of it. The
   * first one of a turn of the event loop goes at once; what follows in the same turn goes in groups, small
   * enough that the server works on one while the next is written.
   */
  private gatherWrites(): void {
    const { stream } = this.client;
    if (!stream) return;
    if (this.gathered++ === 0) {
      process.nextTick(() => {
        if (this.gathered > 1) stream.uncork();
        this.gathered = 0;
      });
    } else if (this.gathered === 2) {
      stream.cork();
    } else if (this.gathered % GROUP === 0) {
      stream.uncork();
      stream.cork();
    }
  }

  /** A server that forgot its scripts (a restart, SCRIPT FLUSH) did nothing, so it is taught and asked again. */
  async repair(step: Step, failure: unknown): Promise<unknown> {
    const what = `${step.verb} ${step.key}`;
    if (!isMissingScript(failure)) throw redisError(what, this.address, failure);
    try {
      await step.script.load(this.client);
      return await this.send(step);
    } catch (error) {
      throw redisError(what, this.address, error);
    }
  }

  async scan(cursor: string, pattern: string, size: string): Promise<[string, string[]]> {
    const { client } = this;
    try {
      if (client.status !== 'ready') throw new NotSent(client.status);
      return await client.scan(cursor, 'MATCH', pattern, 'COUNT', size);
    } catch (error) {
      throw redisError('list the locks', this.address, error);
    }
  }

  async health(): Promise<NodeHealth> {
    const startedAtMs = this.context.clock.now();
    try {
      if (this.client.status !== 'ready') throw new NotSent(this.client.status);
      const { role, version } = parseInfo(await this.within(HEALTH_LIMIT_MS, this.client.info()));
      const latencyMs = this.context.clock.now() - startedAtMs;
      return { node: this.address, role: roleName(role), state: 'up', latencyMs, version };
    } catch (error) {
      return { node: this.address, role: 'unknown', state: 'down', error: messageOf(error) };
    }
  }

  async close(): Promise<void> {
    this.client.off('close', this.onClose);
    this.client.off('ready', this.onReady);
    this.silence?.stop();
    await Promise.all([this.hints.close(), this.own ? closeClient(this.client) : undefined]);
  }

  private async connect(): Promise<void> {
    const { client } = this;
    if (client.status === 'ready') return;
    if (client.status === 'end') throw new Error('the client that was handed in is closed');
    let why: unknown;
    const note = (error: unknown): void => {
      why ??= error;
    };
    client.on('error', note);
    try {
      await (client.status === 'wait' ? client.connect() : becomesReady(client));
    } catch (error) {
      throw why ?? error;
    } finally {
      // a client of our own that is about to be closed would complain to the console without it
      if (!this.own) client.off('error', note);
    }
  }

  private async check(): Promise<void> {
    const info = parseInfo(await this.client.info());
    assertUsable(info, this.address);
    await Promise.all(allScripts.map((script) => script.load(this.client)));
    const warning = evictionWarning(info, this.address);
    if (warning) this.context.report(warning);
  }

  private within<T>(limitMs: number, work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.context.clock.setTimer(
        () => reject(new Error(`no answer within ${limitMs} ms`)),
        limitMs,
      );
      work.then(resolve, reject).finally(() => timer.clear());
    });
  }
}

function roleName(role: string): string {
  return role === 'master' ? 'primary' : role === 'slave' ? 'replica' : role;
}

function unsupported(what: string): BackendError {
  return new BackendError(
    `redis() was given ${what}, which is not supported yet: give it a single server.`,
    'denied',
  );
}

function becomesReady(client: RedisClient): Promise<void> {
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
  });
}
