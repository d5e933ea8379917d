import { randomBytes } from 'node:crypto';
import type { Claim } from '../backends/lock-backend.js';
import type { Terms } from './options.js';

/**
 * Makes the owners of one service: `identity~nonce-number`. 96 random bits for each service, and a number for
 * each acquisition, make them unique; the identity is for people who ask who holds a lock.
 */
export class OwnerMint {
  private readonly stem: string;
  private readonly nonce = `~${randomBytes(12).toString('hex')}-`;
  private made = 0;

  constructor(identity: string) {
    this.stem = identity + this.nonce;
  }

  /** @param identity another than that of the service, for an acquisition that has more to say */
  next(identity?: string): string {
    const stem = identity === undefined ? this.stem : identity + this.nonce;
    return stem + (++this.made).toString(36);
  }
}

/** The part of an owner that is meant for people. */
export function identityOf(owner: string): string {
  return owner.split('~', 1)[0] ?? owner;
}

export function claimOf(key: string, owner: string, terms: Terms, queue: boolean): Claim {
  const { mode, take, of, ttlMs, renew, lasting } = terms;
  return { key, owner, mode, take, of, ttlMs, queue, firm: !renew || lasting === true };
}
