import { isCluster, knownOptions, type RedisClient, type RedisNode } from './redis-client.js';
import type { Step } from './step.js';

/**
 * A step, in the shape in which ioredis takes its own commands. What it makes of `client.evalsha(…)` is the same to the
 * server, but goes through options, transformers and conversions that no step needs, and those are a good part of what
 * a command costs this process (ADR 15).
 */
export class ScriptCall<T = unknown> {
  readonly name = 'evalsha';
  readonly promise: Promise<T>;
  /** The client's own notes. */
  isTraced = false;
  inTransaction = false;
  /** Its text went out together with that of another command. */
  isWritten = false;
  private settle!: (result: T | Promise<T>) => void;
  private fail!: (error: unknown) => void;

  /** @param repair what is done about an error */
  constructor(
    private readonly step: Step<T>,
    private readonly repair: (step: Step<T>, error: unknown) => Promise<T>,
  ) {
    this.promise = new Promise((resolve, reject) => {
      this.settle = resolve;
      this.fail = reject;
    });
  }

  /** For errors and traces. */
  get args(): string[] {
    const { script, keyCount, keysAndArguments } = this.step;
    return [script.sha, String(keyCount), ...keysAndArguments];
  }

  resolve(reply: unknown): void {
    try {
      this.settle(this.step.read(textOf(reply)));
    } catch (error) {
      this.fail(error);
    }
  }

  reject(error: unknown): void {
    this.settle(this.repair(this.step, error));
  }

  toWritable(): string {
    return this.isWritten ? '' : this.text;
  }

  /** As the protocol has it. */
  get text(): string {
    const { script, keyCount, keysAndArguments } = this.step;
    let text = `*${keysAndArguments.length + 3}\r\n${script.head}${bulk(String(keyCount))}`;
    for (const given of keysAndArguments) text += bulk(given);
    return text;
  }

  /** Which version of the protocol is spoken makes no difference to what a script answers. */
  setReplyContext(): void {}
}

/** Whether this client does nothing with a command of its own that it would not do with a {@link ScriptCall}. */
export function takesScriptCalls(client: RedisClient): client is RedisNode {
  if (isCluster(client) || typeof client.sendCommand !== 'function') return false;
  const { keyPrefix, commandTimeout, enableAutoPipelining, showFriendlyErrorStack } = knownOptions(client);
  return !keyPrefix && commandTimeout === undefined && !enableAutoPipelining && !showFriendlyErrorStack;
}

/** A text as the protocol has it. */
function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}

/** Texts come as buffers. */
function textOf(reply: unknown): unknown {
  if (typeof reply === 'number') return reply;
  if (Buffer.isBuffer(reply)) return reply.toString();
  return Array.isArray(reply) ? reply.map(textOf) : reply;
}
