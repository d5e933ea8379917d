import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { spread } from './cores.js';
import type { Tasks } from './tasks/index.js';

/** To a process of the bench. */
export interface Order {
  readonly task: keyof Tasks;
  readonly terms: unknown;
}

/** And from it. */
export type Word = { readonly answer: unknown } | { readonly failure: string };

/** Nobody is asked for anything that takes longer, in milliseconds. */
const LIMIT_MS = 120_000;

/** One of the contestants would fill the screen with it. */
const QUIETER = '--disable-warning=MaxListenersExceededWarning';

/** A process that stands for a replica of an application. It does what it is told, one task at a time. */
export class Replica {
  private readonly child: ChildProcess;

  constructor(url: string) {
    const worker = fileURLToPath(new URL('./replica-worker.ts', import.meta.url));
    this.child = fork(worker, [url], { execArgv: [...process.execArgv, QUIETER] });
    if (this.child.pid !== undefined) spread(this.child.pid);
  }

  async ask<Name extends keyof Tasks>(
    task: Name,
    terms: Parameters<Tasks[Name]>[0],
  ): Promise<Awaited<ReturnType<Tasks[Name]>>> {
    const word = await this.wordOn({ task, terms });
    if ('failure' in word) throw new Error(`A process of the bench failed in "${task}": ${word.failure}`);
    return word.answer as Awaited<ReturnType<Tasks[Name]>>;
  }

  /** At once, whatever it is about. */
  async kill(): Promise<void> {
    const { child } = this;
    if (this.hasEnded) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  private get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  private wordOn(order: Order): Promise<Word> {
    const { child } = this;
    return new Promise((resolve) => {
      const settle = (word: Word): void => {
        clearTimeout(timer);
        child.off('exit', ended).off('message', settle);
        resolve(word);
      };
      const ended = (): void => settle({ failure: 'it ended' });
      const timer = setTimeout(() => settle({ failure: `no answer within ${LIMIT_MS} ms` }), LIMIT_MS);
      child.once('exit', ended).once('message', settle);
      if (this.hasEnded) ended();
      else child.send(order);
    });
  }
}
