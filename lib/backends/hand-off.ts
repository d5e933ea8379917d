import { BackendError } from './backend-error.js';
import type { Claim } from './lock-backend.js';

/** What a release comes to. */
type Outcome = 'released' | 'gone';

/** Whoever awaits it goes on when all that is being done now has been done. */
const END_OF_TURN = Promise.resolve();

/** An exclusive lock that is about to be given back. */
export class HandOff {
  /** True when it was handed on to a claim, in one step with the release. */
  passed = false;
  private outcome: Promise<Outcome> | undefined;

  constructor(
    private readonly claim: Claim,
    readonly sendAlone: () => Promise<Outcome>,
  ) {}

  get owner(): string {
    return this.claim.owner;
  }

  /** Whether one step can do for both. */
  isFor({ key, mode }: Claim): boolean {
    return !this.outcome && key === this.claim.key && mode === 'exclusive';
  }

  /** @param outcome of the release as a part of that step */
  pass(outcome: Promise<Outcome>): void {
    this.passed = true;
    this.outcome = outcome;
  }

  /** Sends the release now, unless it was sent already. */
  send(): Promise<Outcome> {
    return (this.outcome ??= this.sendAlone());
  }
}

/**
 * The releases of one backend that are held back until the end of the turn, so that the next caller of this process,
 * whose claim comes in the same turn, can have both done in one step. One at a time: the next one, and every other
 * step, sends it first.
 */
export class HandOffs {
  private pending: HandOff | undefined;

  /** Gives the lock back at the end of the turn, or in one step with the claim that follows. */
  release(claim: Claim, send: () => Promise<Outcome>): Promise<Outcome> {
    this.flush();
    const handOff = new HandOff(claim, send);
    this.pending = handOff;
    return END_OF_TURN.then(() => this.sendNow(handOff));
  }

  private sendNow(handOff: HandOff): Promise<Outcome> {
    if (this.pending === handOff) this.pending = undefined;
    return handOff.send().catch((error: unknown) => {
      // of both together; a release alone needs less
      if (!handOff.passed || !isDenied(error)) throw error;
      return handOff.sendAlone();
    });
  }

  /** The release that this claim can be made one step with; any other is sent now, ahead of it. */
  takeFor(claim: Claim): HandOff | undefined {
    const handOff = this.pending;
    if (!handOff?.isFor(claim)) {
      this.flush();
      return undefined;
    }
    this.pending = undefined;
    return handOff;
  }

  /** Sends what is held back now. What comes of it, its own caller hears. */
  flush(): void {
    this.pending?.send().catch(() => undefined);
  }
}

function isDenied(error: unknown): boolean {
  return error instanceof BackendError && error.certainty === 'denied';
}
