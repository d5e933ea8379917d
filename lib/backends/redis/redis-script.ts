import { createHash } from 'node:crypto';
import type { RedisNode } from './redis-client.js';
import { scripts } from './scripts.generated.js';

const pieces = new Map<string, string>([
  ['state', scripts.state],
  ['fence', scripts.fence],
  ['mine', scripts.mine],
  ['give-back', scripts.giveBack],
  ['hand-over', scripts.handOver],
]);

/** Lua has no include; a line `include('state')` stands for the text of that piece. */
function assemble(source: string): string {
  return source.replace(/^include\('([a-z-]+)'\)$/gm, (_line, name: string) => {
    const piece = pieces.get(name);
    if (piece === undefined) throw new Error(`there is no piece "${name}"`);
    return assemble(piece);
  });
}

/** A verb, carried out by the server in one atomic step. */
export class RedisScript {
  readonly source: string;
  readonly sha: string;
  /** How a call of it begins, behind the number of its parts. */
  readonly head: string;

  constructor(source: string) {
    this.source = assemble(source);
    this.sha = createHash('sha1').update(this.source).digest('hex');
    this.head = `$7\r\nevalsha\r\n$${this.sha.length}\r\n${this.sha}\r\n`;
  }

  load(client: RedisNode): Promise<unknown> {
    return client.script('LOAD', this.source);
  }
}

export const claimScript = new RedisScript(scripts.claim);
export const releaseScript = new RedisScript(scripts.release);
export const passScript = new RedisScript(scripts.pass);
export const renewScript = new RedisScript(scripts.renew);
export const stayScript = new RedisScript(scripts.stay);
export const abandonScript = new RedisScript(scripts.abandon);
export const evictScript = new RedisScript(scripts.evict);
export const inspectScript = new RedisScript(scripts.inspect);

/** Run once, at the start. */
export const allowedScript = new RedisScript(scripts.allowed);

/** Those that are run by their hash. */
export const allScripts: readonly RedisScript[] = [
  claimScript,
  releaseScript,
  passScript,
  renewScript,
  stayScript,
  abandonScript,
  evictScript,
  inspectScript,
];
