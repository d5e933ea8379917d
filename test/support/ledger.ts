import {
  isGrant,
  type Claim,
  type Grant,
  type LockBackend,
  type Place,
  type RenewOutcome,
} from '../../lib/backends/lock-backend.js';
import type { Clock } from '../../lib/core/clock.js';

/** That a server granted or renewed a lock. */
export interface Proof {
  /** With the prefix. */
  readonly key: string;
  readonly fence: bigint;
  /** Of the request, and of its answer. */
  readonly sentAtMs: number;
  readonly heardAtMs: number;
  readonly ttlMs: number;
}

/**
 * Writes down what a lock server confirmed, and when that was asked for: how long a lock can be relied upon, found
 * out apart from the service under test.
 */
export class Ledger {
  private readonly proofs = new Map<string, Proof>();

  /** @param told of each proof */
  constructor(
    private readonly clock: Pick<Clock, 'now'>,
    private readonly told: (proof: Proof) => void = () => undefined,
  ) {}

  /** To be put between a service and its backend. */
  over = (inner: LockBackend): LockBackend => {
    const written = Object.create(inner) as LockBackend;
    return Object.assign(written, {
      claim: (claim: Claim) => this.ask(claim, () => inner.claim.call(written, claim)),
      renew: (grants: readonly Grant[]) => this.renew(grants, () => inner.renew.call(written, grants)),
    });
  };

  /** When the request was sent that the server confirmed last; -Infinity for a lock that it never granted. */
  provenAtMs(key: string, fence: bigint): number {
    return this.proofs.get(`${key}#${fence}`)?.sentAtMs ?? -Infinity;
  }

  /** The end of the ttl that the server confirmed last. */
  endMs(key: string, fence: bigint): number {
    const proof = this.proofs.get(`${key}#${fence}`);
    return proof ? proof.sentAtMs + proof.ttlMs : -Infinity;
  }

  private async ask(claim: Claim, send: () => Promise<Grant | Place>): Promise<Grant | Place> {
    const sentAtMs = this.clock.now();
    const answer = await send();
    if (!isGrant(answer)) {
      return {
        busy: answer.busy,
        onHint: (wake) => answer.onHint(wake),
        retry: () => this.ask(claim, () => answer.retry()),
      };
    }
    this.note(claim, answer.fence, sentAtMs);
    return answer;
  }

  private async renew(
    grants: readonly Grant[],
    send: () => Promise<readonly RenewOutcome[]>,
  ): Promise<readonly RenewOutcome[]> {
    const sentAtMs = this.clock.now();
    const outcomes = await send();
    grants.forEach(({ claim, fence }, at) => {
      if (outcomes[at] !== 'renewed') return;
      this.note(claim, fence, sentAtMs);
    });
    return outcomes;
  }

  private note({ key, ttlMs }: Claim, fence: bigint, sentAtMs: number): void {
    const proof = { key, fence, sentAtMs, heardAtMs: this.clock.now(), ttlMs };
    this.proofs.set(`${key}#${fence}`, proof);
    this.told(proof);
  }
}
