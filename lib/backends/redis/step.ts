import type { RedisScript } from './redis-script.js';

/** One step on one lock, or on several of one slot. */
export interface Step<T = unknown> {
  readonly verb: string;
  readonly key: string;
  readonly script: RedisScript;
  readonly keyCount: number;
  readonly keysAndArguments: readonly string[];
  /** What the reply means. */
  readonly read: (reply: unknown) => T | Promise<T>;
  /** Whoever is told of it by the script is told before we are answered, where the client can be made to. */
  readonly othersFirst?: boolean;
}
