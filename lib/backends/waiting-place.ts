import type { HintListener } from './hints.js';
import type { Busy, Claim, Grant, Place } from './lock-backend.js';

/** What a place asks of its backend. */
export interface Asking {
  /** One step; `place` is what the claim had so far. */
  ask(claim: Claim, place?: WaitingPlace): Promise<Grant | Place>;
  listen(claim: Claim, listener: HintListener): void;
  /**
   * The grant that came with a hint; undefined when the server has to be asked for it.
   *
   * @param stoodAtMs when the last request was sent that it answered with "wait"
   */
  takeOver?(claim: Claim, fence: bigint, stoodAtMs: number): Grant | undefined;
}

/** A place in the server's line: the same object for as long as it has to wait. */
export class WaitingPlace implements Place, HintListener {
  private wake: (() => void) | undefined;
  private handedOver: bigint | undefined;

  /** @param stoodAtMs when the request was sent that the server answered with this place */
  constructor(
    private readonly backend: Asking,
    private readonly claim: Claim,
    public busy: Busy,
    private stoodAtMs: number,
  ) {}

  onHint(wake: () => void): void {
    this.wake = wake;
    this.backend.listen(this.claim, this);
  }

  hint(fence?: bigint): void {
    if (fence !== undefined) this.handedOver = fence;
    this.wake?.();
  }

  stoodAt(sentAtMs: number): void {
    this.stoodAtMs = Math.max(this.stoodAtMs, sentAtMs);
  }

  /** The server was asked, and it has to wait still: what came with a hint before that is over, or will be told again. */
  goesOn(busy: Busy, sentAtMs: number): void {
    this.busy = busy;
    this.handedOver = undefined;
    this.stoodAt(sentAtMs);
  }

  retry(): Promise<Grant | Place> {
    const fence = this.handedOver;
    this.handedOver = undefined;
    const grant =
      fence === undefined ? undefined : this.backend.takeOver?.(this.claim, fence, this.stoodAtMs);
    return grant ? Promise.resolve(grant) : this.backend.ask(this.claim, this);
  }
}
