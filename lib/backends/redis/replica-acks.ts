import { BackendError } from '../backend-error.js';
import { addressOf, type RedisNode } from './redis-client.js';
import { messageOf, redisError } from './redis-error.js';

/** What stands between what a step wrote and its being safe on replicas. */
export interface Confirmation {
  /** What the step did, as in "granted lock:a". */
  readonly what: string;
  /** The connection that it was sent over, and the socket that this had then. */
  readonly node: RedisNode;
  readonly stream: unknown;
  /** How long the replicas may take. */
  readonly limitMs: number;
  /**
   * Where a server may have passed the step on to another: says, over that same connection, whether what the step
   * wrote is here. Sent in the same turn as the wait for the replicas.
   */
  readonly isHere?: () => Promise<boolean>;
}

/**
 * Waits until replicas have what was written. WAIT counts those that have all that this connection wrote before it,
 * and holds up whatever is sent over it meanwhile; so there is one at a time, and it does for all who ask.
 */
export class ReplicaAcks {
  private readonly waits = new WeakMap<RedisNode, SharedWait>();

  constructor(private readonly needed: number) {}

  /** @throws BackendError `unknown` when too few acknowledged it, or it cannot be said of what they did */
  async confirm({ what, node, stream, limitMs, isHere }: Confirmation): Promise<void> {
    const address = addressOf(node);
    const fail = (why: string): never => {
      throw new BackendError(`Redis at ${address} ${what}, but ${why}, so it does not count.`, 'unknown');
    };
    // over another connection it may be another server that we ask, one that never heard of it
    if (node.status !== 'ready' || node.stream !== stream)
      fail('the connection broke before a replica acknowledged it');
    let wait = this.waits.get(node);
    if (!wait) this.waits.set(node, (wait = new SharedWait(node, this.needed)));
    const [acknowledged, here] = await Promise.all([
      wait.join(limitMs).catch((error: unknown) => {
        throw redisError(`let replicas acknowledge that it ${what}`, address, error);
      }),
      isHere?.().catch((error: unknown) => fail(`it could not be looked up (${messageOf(error)})`)) ?? true,
    ]);
    if (node.stream !== stream) fail('the connection broke before a replica acknowledged it');
    if (!here) fail('it is on another server by now');
    if (acknowledged < this.needed)
      fail(`${acknowledged} of ${this.needed} replicas acknowledged it within ${limitMs} ms`);
  }
}

/** At most one WAIT under way, and one that comes after it, for all who could not be on the first. */
class SharedWait {
  private current: Promise<unknown> = Promise.resolve();
  private next: Promise<number> | undefined;
  private limitMs = 0;

  constructor(
    private readonly node: RedisNode,
    private readonly needed: number,
  ) {}

  /** How many replicas have all that was written before this call. */
  join(limitMs: number): Promise<number> {
    this.limitMs = Math.max(this.limitMs, limitMs);
    this.next ??= this.current.then(
      () => this.send(),
      () => this.send(),
    );
    return this.next;
  }

  private async send(): Promise<number> {
    const { limitMs, next } = this;
    this.limitMs = 0;
    this.next = undefined;
    this.current = next ?? this.current;
    return Number(await this.node.call('WAIT', String(this.needed), String(limitMs)));
  }
}

/** Rejects, in a sentence, a server on which no lock could ever be granted. */
export async function assertReplicated(node: RedisNode, needed: number): Promise<void> {
  const address = addressOf(node);
  // none is asked for, so it answers at once, if the user may ask at all
  await node.call('WAIT', '0', '1');
  const connected = [...(await node.info()).matchAll(/^slave\d+:.*\bstate=online\b/gm)].length;
  if (connected >= needed) return;
  throw new BackendError(
    `Redis at ${address} has ${connected} replica(s) in reach, and \`replicas: ${needed}\` asks for ${needed} to acknowledge each grant, so no lock could be had. Add replicas, or lower the setting.`,
    'denied',
  );
}
