import type { HandedOver, HintListener, SignOfLife } from './hints.js';
import type { Busy, Claim, Grant, Place } from './lock-backend.js';

/** What a place asks of its backend. */
export interface Asking {
  /** One step; `place` is what the claim had so far. */
  ask(claim: Claim, place?: WaitingPlace): Promise<Grant | Place>;
  listen(claim: Claim, listener: HintListener): void;
  /**
   * The grant that came with a hint; undefined when the server has to be asked for it.
   *
   * @param stoodAtMs when the sign of life was sent that its lease is counted from
   */
  takeOver?(claim: Claim, fence: bigint, stoodAtMs: number): Grant | undefined;
}

/** A place in the server's line: the same object for as long as it has to wait. */
export class WaitingPlace implements Place, HintListener {
  private wake: (() => void) | undefined;
  private handedOver: HandedOver | undefined;

  /** @param stood the request that the server answered with this place, where it may hand a lock over */
  constructor(
    private readonly backend: Asking,
    private readonly claim: Claim,
    public busy: Busy,
    private stood?: SignOfLife,
  ) {}

  onHint(wake: () => void): void {
    this.wake = wake;
    this.backend.listen(this.claim, this);
  }

  hint(handedOver?: HandedOver): void {
    if (handedOver) this.handedOver = handedOver;
    this.wake?.();
  }

  stoodAt(sign: SignOfLife): void {
    if (!this.stood || sign.sentAtMs >= this.stood.sentAtMs) this.stood = sign;
  }

  /** The server was asked, and it has to wait still. */
  goesOn(busy: Busy, sign?: SignOfLife): void {
    this.busy = busy;
    if (sign) this.stoodAt(sign);
  }

  retry(): Promise<Grant | Place> {
    const grant = this.takeOver();
    return grant ? Promise.resolve(grant) : this.backend.ask(this.claim, this);
  }

  /**
   * What came with the last hint. A message may be late: it counts only by a sign of life of which we know when it was
   * sent. A later one may be that of another place, taken after the lease of this message was over.
   */
  takeOver(): Grant | undefined {
    const { claim, handedOver, stood } = this;
    this.handedOver = undefined;
    if (!handedOver || handedOver.aliveUntil !== stood?.aliveUntil) return undefined;
    return this.backend.takeOver?.(claim, handedOver.fence, stood.sentAtMs);
  }
}
