import {
  isGrant,
  type BackendContext,
  type Claim,
  type Grant,
  type LockBackend,
  type Place,
  type RenewOutcome,
} from '../../../lib/backends/lock-backend.js';
import { Delegate, placeOf } from './delegate.js';
import { mutant, type Mutant } from './mutant.js';

class RevivesOnRenewal extends Delegate {
  override async renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    const outcomes = await this.inner.renew(grants);
    return Promise.all(outcomes.map((outcome, n) => this.revive(outcome, grants[n])));
  }

  private async revive(outcome: RenewOutcome, grant: Grant | undefined): Promise<RenewOutcome> {
    if (outcome === 'renewed') return outcome;
    const answer = grant && (await this.inner.claim(grant.claim).catch(() => undefined));
    return answer && isGrant(answer) ? 'renewed' : 'gone';
  }
}

class RenewsWhatIsGone extends Delegate {
  override async renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    await this.inner.renew(grants);
    return grants.map(() => 'renewed');
  }
}

class AnswersForTheBatch extends Delegate {
  override async renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    const outcomes = await this.inner.renew(grants);
    return outcomes.includes('gone') ? outcomes.map(() => 'gone') : outcomes;
  }
}

/** Changes how long a lease lasts. */
class Stretches extends Delegate {
  constructor(
    inner: LockBackend,
    private readonly factor: number,
  ) {
    super(inner);
  }

  override async claim(claim: Claim): Promise<Grant | Place> {
    const answer = await this.inner.claim(this.stretched(claim));
    return isGrant(answer) ? { ...answer, claim } : answer;
  }

  override renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    return this.inner.renew(grants.map((grant) => ({ ...grant, claim: this.stretched(grant.claim) })));
  }

  private stretched(claim: Claim): Claim {
    return { ...claim, ttlMs: claim.ttlMs * this.factor };
  }
}

class RenewsForTheFirstTtl extends Delegate {
  private readonly ttls = new Map<string, number>();

  override claim(claim: Claim): Promise<Grant | Place> {
    this.ttls.set(claim.owner, claim.ttlMs);
    return this.inner.claim(claim);
  }

  override renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    const asBefore = grants.map((grant) => {
      const ttlMs = this.ttls.get(grant.claim.owner) ?? grant.claim.ttlMs;
      return { ...grant, claim: { ...grant.claim, ttlMs } };
    });
    return this.inner.renew(asBefore);
  }
}

class RenewsTheWholeKey extends Delegate {
  private readonly claims = new Map<string, Claim>();

  override claim(claim: Claim): Promise<Grant | Place> {
    this.claims.set(claim.owner, claim);
    return this.inner.claim(claim);
  }

  override async renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    const { key, ttlMs } = grants[0]?.claim ?? { key: '', ttlMs: 0 };
    const all = [...this.claims.values()].filter((claim) => claim.key === key);
    await this.inner.renew(all.map((claim) => ({ claim: { ...claim, ttlMs }, fence: 0n, sentAtMs: 0 })));
    return this.inner.renew(grants);
  }
}

/** Sends a point in time by its own clock instead of a length. */
class TrustsItsClock extends Delegate {
  private skewMs = 0;

  constructor(
    inner: LockBackend,
    private readonly origin: { now?: () => number },
  ) {
    super(inner);
  }

  override start(context: BackendContext): Promise<void> {
    this.origin.now ??= () => context.clock.now();
    this.skewMs = context.clock.now() - this.origin.now();
    return this.inner.start(context);
  }

  override async claim(claim: Claim): Promise<Grant | Place> {
    const answer = await this.inner.claim({ ...claim, ttlMs: Math.max(1, claim.ttlMs + this.skewMs) });
    return isGrant(answer) ? { ...answer, claim } : answer;
  }
}

class MintsAFenceEachTime extends Delegate {
  override async claim(claim: Claim): Promise<Grant | Place> {
    const answer = await this.inner.claim(claim);
    if (!isGrant(answer) || !(await this.inner.inspect(claim.key))?.holders.length) return answer;
    if (this.seen.has(claim.owner)) await this.inner.release(answer);
    this.seen.add(claim.owner);
    return this.inner.claim(claim);
  }

  private readonly seen = new Set<string>();
}

class RefusesItsOwnHolder extends Delegate {
  override async claim(claim: Claim): Promise<Grant | Place> {
    const [holder] = (await this.inner.inspect(claim.key))?.holders ?? [];
    if (holder?.owner !== claim.owner) return this.inner.claim(claim);
    const place: Place = {
      busy: { holder: holder.owner },
      onHint: () => undefined,
      retry: () => this.claim(claim),
    };
    return place;
  }
}

/** Turns the fences of the inner backend into others. */
class Refences extends Delegate {
  constructor(
    inner: LockBackend,
    private readonly refence: (grant: Grant) => bigint,
    private readonly onEvict: (key: string) => void = () => undefined,
  ) {
    super(inner);
  }

  override async claim(claim: Claim): Promise<Grant | Place> {
    return this.wrap(await this.inner.claim(claim));
  }

  override evict(key: string): Promise<boolean> {
    this.onEvict(key);
    return this.inner.evict(key);
  }

  private wrap(answer: Grant | Place): Grant | Place {
    if (isGrant(answer)) return { ...answer, fence: this.refence(answer) };
    return placeOf(answer, async () => this.wrap(await answer.retry()));
  }
}

function forgetsFencesAtEviction(): (inner: LockBackend) => LockBackend {
  const counts = new Map<string, Map<bigint, bigint>>();
  const refence = ({ claim, fence }: Grant): bigint => {
    const known = counts.get(claim.key) ?? new Map<bigint, bigint>();
    counts.set(claim.key, known);
    if (!known.has(fence)) known.set(fence, BigInt(known.size + 1));
    return known.get(fence) ?? 0n;
  };
  return (inner) => new Refences(inner, refence, (key) => void counts.delete(key));
}

export const leaseMutants: readonly Mutant[] = [
  mutant(
    'a renewal revives',
    ['no-revival/exclusive', 'expiry/exclusive'],
    (inner) => new RevivesOnRenewal(inner),
  ),
  mutant(
    'everything counts as renewed',
    ['renew-order', 'evicted-gone/shared'],
    (inner) => new RenewsWhatIsGone(inner),
  ),
  mutant(
    'one lost lease in a batch counts for all',
    ['renew-order'],
    (inner) => new AnswersForTheBatch(inner),
  ),
  mutant(
    'expiry is ignored',
    ['expiry/exclusive', 'silent-holder/permits'],
    (inner) => new Stretches(inner, 1_000),
  ),
  mutant(
    'leases end at half their time',
    ['silent-holder/exclusive', 'renewal/shared'],
    (inner) => new Stretches(inner, 0.5),
  ),
  mutant(
    'a renewal ignores the ttl it names',
    ['renewal-ttl/exclusive'],
    (inner) => new RenewsForTheFirstTtl(inner),
  ),
  mutant(
    "one reader's renewal prolongs the others",
    ['reader-renewal'],
    (inner) => new RenewsTheWholeKey(inner),
  ),
  {
    bug: "expiry goes by the client's clock",
    caughtBy: ['wrong-clocks'],
    plant: () => {
      const origin = {};
      return (inner) => new TrustsItsClock(inner, origin);
    },
  },
  mutant(
    'a repeated claim gets a new fence',
    ['claim-again/exclusive', 'claim-again-lease'],
    (inner) => new MintsAFenceEachTime(inner),
  ),
  mutant(
    'a repeated claim waits for itself',
    ['claim-again/exclusive'],
    (inner) => new RefusesItsOwnHolder(inner),
  ),
  mutant(
    'the fence never rises',
    ['fence/exclusive', 'fence-clients', 'fence-readers'],
    (inner) => new Refences(inner, () => 1n),
  ),
  {
    bug: 'an eviction forgets the fence',
    caughtBy: ['fence-ends', 'evict/exclusive'],
    plant: forgetsFencesAtEviction,
  },
];
