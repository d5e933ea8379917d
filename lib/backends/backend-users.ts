import { BackendError } from './backend-error.js';
import type { BackendContext } from './lock-backend.js';

/** Clocks that read further apart than that are taken for different ones. */
const CLOCK_GRAIN_MS = 1;

/**
 * The services that work with one backend. Two applications made from one module class share it; they have the
 * connection in common, and it closes with the last of them.
 */
export class BackendUsers {
  private readonly contexts: BackendContext[] = [];
  private count = 0;

  /** @param backend the name of the function that makes such a backend */
  constructor(private readonly backend: string) {}

  /** What the connection sees of them all. */
  asOne(first: BackendContext): BackendContext {
    return {
      clock: first.clock,
      identity: first.identity,
      doubt: (owner) => this.contexts.forEach((context) => context.doubt(owner)),
      report: (error) => this.contexts.forEach((context) => context.report(error)),
    };
  }

  /** @throws BackendError when its time is another than that of those who are here already */
  add(context: BackendContext): void {
    const first = this.contexts[0]?.clock;
    if (first && first !== context.clock && Math.abs(first.now() - context.clock.now()) > CLOCK_GRAIN_MS) {
      throw new BackendError(
        `One ${this.backend}() backend was given to two services whose clocks differ; call ${this.backend}() once for each of them.`,
        'denied',
      );
    }
    this.contexts.push(context);
    this.count++;
  }

  /** One of them leaves; true when it was the last. */
  leave(): boolean {
    if (this.count > 0) this.count--;
    if (this.count > 0) return false;
    this.contexts.length = 0;
    return true;
  }
}
