import type { Clock } from '../core/clock.js';
import { LockError } from '../core/errors.js';
import { settledWithin } from './bounded.js';
import { CronTicks } from './cron-ticks.js';
import { Repeats, type ScheduledCall } from './repeats.js';

/** The jobs of one application that run: at its end no new ones begin, and these are waited for. */
export class JobDesk {
  /** The nominal times of cron jobs. */
  readonly ticks = new CronTicks(() => this.instances());
  readonly repeats: Repeats;
  /** Everything that the application is made of, once that is known. */
  instances: () => Iterable<unknown> = () => [];
  private readonly running = new Set<Promise<unknown>>();
  private readonly controller = new AbortController();
  private draining: Promise<void> | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly limitMs: number,
  ) {
    this.repeats = new Repeats(clock, this.ticks);
  }

  /** Aborts when no new jobs may begin any more. */
  get closing(): AbortSignal {
    return this.controller.signal;
  }

  /** Why a scheduled call must not run; undefined when it may. */
  refusal(call: ScheduledCall): string | undefined {
    if (this.closing.aborted) return 'the application is closing';
    if (!this.repeats.isRepeat(call)) return undefined;
    return 'its class is provided twice, and the other one runs it';
  }

  /** Runs a job, which the end of the application waits for. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const job = work();
    this.running.add(job);
    try {
      return await job;
    } finally {
      this.running.delete(job);
    }
  }

  /** No new jobs from here on. Resolves when those that run have ended, or when they have had their time. */
  drain(): Promise<void> {
    return (this.draining ??= this.close());
  }

  private async close(): Promise<void> {
    this.controller.abort(new LockError('The application is closing.'));
    if (this.running.size === 0) return;
    await settledWithin(this.clock, this.limitMs, Promise.allSettled(this.running));
  }
}
