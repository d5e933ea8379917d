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
  /** Functions of their own: those who trace a client put theirs around them, and call these without an object. */
  resolve!: (reply: unknown) => void;
  reject!: (error: unknown) => void;
  /** The client's own notes. */
  isTraced = false;
  inTransaction = false;

  /** @param repair what is done about an error */
  constructor(
    private readonly step: Step<T>,
    repair: (step: Step<T>, error: unknown) => Promise<T>,
  ) {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = (reply) => {
        try {
          resolve(step.read(textOf(reply)));
        } catch (error) {
          const cause = error as Error;
          reject(cause);
        }
      };
      this.reject = (error) => resolve(repair(step, error));
    });
  }

  /** For errors and traces. */
  get args(): string[] {
    const { script, keyCount, keysAndArguments } = this.step;
    return [script.sha, String(keyCount), ...keysAndArguments];
  }

  toWritable(): string {
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
