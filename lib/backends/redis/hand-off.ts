import type { Claim } from '../lock-backend.js';

/**
 * An exclusive lock that is about to be given back. The release is sent at the end of the turn, so that the next
 * caller of this process, whose claim comes in the same turn, can have both done in one step.
 */
export class HandOff {
  /** True when it was handed on to a claim, in one step with the release. */
  passed = false;
  /** To the release, or to both; there is one once it was sent. */
  reply: Promise<unknown> | undefined;

  constructor(
    private readonly claim: Claim,
    private readonly release: () => Promise<unknown>,
  ) {}

  get owner(): string {
    return this.claim.owner;
  }

  /** Whether one step can do for both. */
  isFor({ key, mode }: Claim): boolean {
    return !this.reply && key === this.claim.key && mode === 'exclusive';
  }

  pass(reply: Promise<unknown>): Promise<unknown> {
    this.passed = true;
    return (this.reply = reply);
  }

  /** Sends the release now, unless it was sent already. */
  send(): void {
    this.reply ??= this.release();
  }
}
