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

  /**
   * @param backend the name of the function that makes such a backend
   * @param advice to who gave it to services whose clocks differ
   */
  constructor(
    private readonly backend: string,
    private readonly advice = `call ${backend}() once for each of them`,
  ) {}

  /** Whoever came first of those who are here; undefined without any. */
  get first(): BackendContext | undefined {
    return this.contexts[0];
  }

  /** What the connection sees of them all. */
  asOne(first: BackendContext): BackendContext {
    return {
      clock: first.clock,
      identity: first.identity,
      doubt: (owner) => this.doubt(owner),
      report: (error) => this.report(error),
    };
  }

  doubt(owner?: string): void {
    for (const context of this.contexts) context.doubt(owner);
  }

  report(error: Error): void {
    for (const context of this.contexts) context.report(error);
  }

  /** @throws BackendError when its time is another than that of those who are here already */
  add(context: BackendContext): void {
    const first = this.first?.clock;
    if (first && first !== context.clock && Math.abs(first.now() - context.clock.now()) > CLOCK_GRAIN_MS) {
      throw new BackendError(
        `One ${this.backend}() backend was given to two services whose clocks differ; ${this.advice}.`,
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
