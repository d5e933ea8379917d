/**
 * Where the hints for one waiting claim arrive. It outlives a single place: a claim keeps its ear over retries, and
 * over being dropped from the line.
 */
export class Ear {
  private wake: (() => void) | undefined;
  /** A hint was given, and nothing was asked since. */
  private rung = false;
  private closed = false;

  constructor(private readonly report: (error: Error) => void) {}

  /** A hint that came before anybody listened is not lost. */
  listen(wake: () => void): void {
    this.wake = wake;
    if (this.rung) this.deliverSoon();
  }

  /** One hint for each time that the claim asked: more would only cost the server questions. */
  ring(): void {
    if (this.rung || this.closed) return;
    this.rung = true;
    if (this.wake) this.deliverSoon();
  }

  /** The claim has just asked, so whatever was hinted before is known. */
  hush(): void {
    this.rung = false;
  }

  /** Nothing is heard after a grant or an abandonment. */
  close(): void {
    this.closed = true;
    this.wake = undefined;
  }

  /** Never inside somebody else's call: what `wake` does must not run in the middle of a step. */
  private deliverSoon(): void {
    queueMicrotask(() => {
      if (!this.rung || this.closed) return;
      try {
        this.wake?.();
      } catch (thrown) {
        this.report(thrown instanceof Error ? thrown : new Error(String(thrown)));
      }
    });
  }
}
