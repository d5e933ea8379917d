import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Contestant } from './contestants/contestant.js';

/** To a process of the crowd. */
export type Order =
  | { readonly say: 'prepare'; readonly contestant: string; readonly url: string }
  | {
      readonly say: 'go';
      readonly contestant: string;
      readonly url: string;
      readonly key: string;
      readonly callers: number;
      readonly startAt: number;
    };

/** And from it. */
export type Word =
  | { readonly say: 'prepared' }
  | { readonly say: 'done'; readonly endedAt: number; readonly calls: number }
  | { readonly say: 'failed'; readonly why: string };

/** Time for the order to arrive everywhere before it takes effect. */
const HEAD_START_MS = 25;

/** Several processes that call for one lock at one moment. */
export class Crowd {
  private readonly children: readonly ChildProcess[];

  constructor(
    private readonly url: string,
    processes: number,
  ) {
    const worker = fileURLToPath(new URL('./crowd-worker.ts', import.meta.url));
    this.children = Array.from({ length: processes }, () => fork(worker));
  }

  async run(
    { name: contestant }: Contestant,
    key: string,
    callers: number,
  ): Promise<{ tookMs: number; calls: number }> {
    const { url } = this;
    await this.tell({ say: 'prepare', contestant, url });
    const startAt = Number(process.hrtime.bigint()) / 1e6 + HEAD_START_MS;
    const words = await this.tell({ say: 'go', contestant, url, key, callers, startAt });
    let endedAt = 0;
    let calls = 0;
    for (const word of words) {
      if (word.say !== 'done') continue;
      endedAt = Math.max(endedAt, word.endedAt);
      calls += word.calls;
    }
    return { tookMs: endedAt - startAt, calls };
  }

  async close(): Promise<void> {
    await Promise.all(
      this.children.map(async (child) => {
        if (child.exitCode !== null) return;
        const ended = once(child, 'exit');
        child.disconnect();
        await ended;
      }),
    );
  }

  private tell(order: Order): Promise<Word[]> {
    return Promise.all(
      this.children.map(async (child) => {
        const word = await wordOf(child, order);
        if (word.say === 'failed') throw new Error(`A process of the crowd failed: ${word.why}`);
        return word;
      }),
    );
  }
}

function wordOf(child: ChildProcess, order: Order): Promise<Word> {
  return new Promise((resolve) => {
    const ended = (): void => resolve({ say: 'failed', why: 'it ended' });
    child.once('exit', ended);
    child.once('message', (word: Word) => {
      child.off('exit', ended);
      resolve(word);
    });
    child.send(order);
  });
}
