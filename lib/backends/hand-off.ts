import type { Claim } from './lock-backend.js';

/**
 * An exclusive lock that is about to be given back. The release is sent at the end of the turn, so that the next
 * caller of this process, whose claim comes in the same turn, can have both done in one step.
 */
export class HandOff {
  /** True when it was handed on to a claim, in one step with the release. */
  passed = false;
  private outcome: Promise<'released' | 'gone'> | undefined;

  constructor(
    private readonly claim: Claim,
    private readonly release: () => Promise<'released' | 'gone'>,
  ) {}

  get owner(): string {
    return this.claim.owner;
  }

  /** Whether one step can do for both. */
  isFor({ key, mode }: Claim): boolean {
    return !this.outcome && key === this.claim.key && mode === 'exclusive';
  }

  /** @param outcome of the release as a part of that step */
  pass(outcome: Promise<'released' | 'gone'>): void {
    this.passed = true;
    this.outcome = outcome;
  }

  /** Sends the release now, unless it was sent already. */
  send(): Promise<'released' | 'gone'> {
    return (this.outcome ??= this.release());
  }
}
