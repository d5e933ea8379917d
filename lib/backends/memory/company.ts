import type { Claim, LockMode } from '../lock-backend.js';

/** What the claims that hold one key together amount to, and the rule of who may join them. */
export class Company {
  mode: LockMode | undefined;
  /** Permits that exist, by the smallest claim; 1 when exclusive, 0 when shared. */
  of = 0;
  private taken = 0;

  static of(claims: Iterable<Claim>): Company {
    const company = new Company();
    for (const claim of claims) company.add(claim);
    return company;
  }

  copy(): Company {
    const copy = new Company();
    copy.mode = this.mode;
    copy.of = this.of;
    copy.taken = this.taken;
    return copy;
  }

  /** Whether this claim may hold the key together with all the others. */
  admits(claim: Claim): boolean {
    if (this.mode === undefined) return claim.mode !== 'permits' || claim.take <= claim.of;
    if (this.mode !== claim.mode) return false;
    if (claim.mode === 'permits') return this.taken + claim.take <= Math.min(this.of, claim.of);
    return claim.mode === 'shared';
  }

  add(claim: Claim): void {
    this.of = this.mode === undefined ? claim.of : Math.min(this.of, claim.of);
    this.mode = claim.mode;
    this.taken += claim.take;
  }

  /** Adds the claim if it is admitted; says whether. */
  join(claim: Claim): boolean {
    if (!this.admits(claim)) return false;
    this.add(claim);
    return true;
  }
}
