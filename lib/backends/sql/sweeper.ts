import type { SqlSession } from './sql-session.js';

/** After so many grants the next keys are looked at, so that what was locked once does not stay for ever. */
const GRANTS = 250;
const KEYS = 500;

/**
 * Goes through the keys bit by bit, in their order, and has those forgotten that were not used for long. It needs no
 * timer, and no index on a column that changes with every lock.
 */
export class Sweeper {
  private grants = 0;
  private after = '';
  private sweeping = false;

  constructor(private readonly session: SqlSession) {}

  /** A lock was granted. */
  granted(): void {
    if (++this.grants < GRANTS || this.sweeping) return;
    this.grants = 0;
    void this.sweep();
  }

  /** Nobody waits for it, and the next one makes up for one that failed. */
  private async sweep(): Promise<void> {
    this.sweeping = true;
    try {
      const [last = ''] = await this.session.step('sweep', 'unused locks', [this.after, KEYS]);
      this.after = last;
    } catch {
      this.after = '';
    }
    this.sweeping = false;
  }
}
