import type { Busy, Claim, Grant, Place } from './lock-backend.js';

/** What a place asks of its backend. */
export interface Asking {
  /** One step; `place` is what the claim had so far. */
  ask(claim: Claim, place?: WaitingPlace): Promise<Grant | Place>;
  listen(claim: Claim, wake: () => void): void;
}

/** A place in the server's line: the same object for as long as it has to wait. */
export class WaitingPlace implements Place {
  constructor(
    private readonly backend: Asking,
    private readonly claim: Claim,
    public busy: Busy,
  ) {}

  onHint(wake: () => void): void {
    this.backend.listen(this.claim, wake);
  }

  retry(): Promise<Grant | Place> {
    return this.backend.ask(this.claim, this);
  }
}
