import { BackendError } from '../../../lib/backends/backend-error.js';
import {
  isGrant,
  type BackendContext,
  type Claim,
  type Grant,
  type NodeHealth,
  type Place,
} from '../../../lib/backends/lock-backend.js';
import { Delegate } from './delegate.js';
import { mutant, type Mutant } from './mutant.js';

class ReleasesForAnybody extends Delegate {
  override async release(grant: Grant, lingerMs?: number): Promise<'released' | 'gone'> {
    const outcome = await this.inner.release(grant, lingerMs);
    return outcome === 'gone' && (await this.inner.evict(grant.claim.key)) ? 'released' : outcome;
  }
}

class ReleasesWhatIsGone extends Delegate {
  override async release(grant: Grant, lingerMs?: number): Promise<'released'> {
    await this.inner.release(grant, lingerMs);
    return 'released';
  }
}

class IgnoresLinger extends Delegate {
  override release(grant: Grant): Promise<'released' | 'gone'> {
    return this.inner.release(grant);
  }
}

class LingersForTheTtl extends Delegate {
  override release(grant: Grant, lingerMs?: number): Promise<'released' | 'gone'> {
    return this.inner.release(grant, lingerMs && Math.max(lingerMs, grant.claim.ttlMs));
  }
}

/** Lets one in too many, now and then. */
class LetsTwoIn extends Delegate {
  private refused = 0;

  override async claim(claim: Claim): Promise<Grant | Place> {
    const answer = await this.inner.claim(claim);
    if (isGrant(answer) || ++this.refused % 7 !== 0) return answer;
    return { claim, fence: 1_000_000n, sentAtMs: 0 };
  }
}

class KnowsOnlyItsOwnGrants extends Delegate {
  private readonly issued = new Set<string>();

  override async claim(claim: Claim): Promise<Grant | Place> {
    this.issued.add(claim.owner);
    return this.inner.claim(claim);
  }

  override async release(grant: Grant, lingerMs?: number): Promise<'released' | 'gone'> {
    return this.issued.has(grant.claim.owner) ? this.inner.release(grant, lingerMs) : 'gone';
  }
}

class AbandonsOnlyPlaces extends Delegate {
  override async abandon(claim: Claim): Promise<void> {
    const snapshot = await this.inner.inspect(claim.key);
    if (snapshot?.holders.some(({ owner }) => owner === claim.owner)) return;
    await this.inner.abandon(claim);
  }
}

class AbandonsOnlyGrants extends Delegate {
  override async abandon(claim: Claim): Promise<void> {
    const snapshot = await this.inner.inspect(claim.key);
    if (snapshot && !snapshot.holders.some(({ owner }) => owner === claim.owner)) return;
    await this.inner.abandon(claim);
  }
}

class EvictsInSilence extends Delegate {
  override start(context: BackendContext): Promise<void> {
    return this.inner.start({ ...context, doubt: () => undefined });
  }
}

class EvictsOneHolder extends Delegate {
  override async evict(key: string): Promise<boolean> {
    const [first] = (await this.inner.inspect(key))?.holders ?? [];
    if (!first) return false;
    const claim: Claim = { key, owner: first.owner, mode: 'shared', take: 1, of: 0, ttlMs: 1, queue: false };
    return (await this.inner.release({ claim, fence: first.fence, sentAtMs: 0 })) === 'released';
  }
}

class RejectsWith extends Delegate {
  constructor(
    inner: Delegate['inner'],
    private readonly error: () => Error,
  ) {
    super(inner);
  }

  override async claim(claim: Claim): Promise<Grant | Place> {
    const answer = await this.inner.claim(claim).catch(() => undefined);
    if (!answer) throw this.error();
    return answer;
  }
}

class WorksAfterStop extends Delegate {
  override async stop(): Promise<void> {
    await Promise.resolve();
  }
}

class ReadsAnotherClock extends Delegate {
  override async claim(claim: Claim): Promise<Grant | Place> {
    const answer = await this.inner.claim(claim);
    return isGrant(answer) ? { ...answer, sentAtMs: Date.now() } : answer;
  }
}

class ShowsItsPassword extends Delegate {
  override async nodes(): Promise<readonly NodeHealth[]> {
    const nodes = await this.inner.nodes();
    return nodes.map((node) => ({ ...node, node: `memory://user:secret@${node.node}` }));
  }
}

class FoldsCase extends Delegate {
  override async claim(claim: Claim): Promise<Grant | Place> {
    const answer = await this.inner.claim({ ...claim, key: claim.key.toLowerCase() });
    return isGrant(answer) ? { ...answer, claim } : answer;
  }
}

export const ownershipMutants: readonly Mutant[] = [
  mutant(
    'release does not compare the owner',
    ['stale-owner/exclusive', 'owner-identity'],
    (inner) => new ReleasesForAnybody(inner),
  ),
  mutant(
    'release says released whatever happened',
    ['release-expired/exclusive', 'evicted-gone/exclusive'],
    (inner) => new ReleasesWhatIsGone(inner),
  ),
  mutant(
    'linger is ignored',
    ['linger/exclusive', 'linger-ends/shared', 'linger-again'],
    (inner) => new IgnoresLinger(inner),
  ),
  mutant(
    'only the client that was granted a lease can release it',
    ['handle/exclusive'],
    (inner) => new KnowsOnlyItsOwnGrants(inner),
  ),
  mutant(
    'abandon does not give back a grant',
    ['abandon-grant/exclusive', 'abandon-in-flight/exclusive'],
    (inner) => new AbandonsOnlyPlaces(inner),
  ),
  mutant(
    'abandon does not leave the line',
    ['abandon-place', 'leaver-shifts-nobody'],
    (inner) => new AbandonsOnlyGrants(inner),
  ),
  mutant('eviction casts no doubt', ['evict-doubts'], (inner) => new EvictsInSilence(inner)),
  mutant('eviction takes the key from one holder only', ['evict-all'], (inner) => new EvictsOneHolder(inner)),
  mutant(
    'a denial is a plain Error',
    ['late-claim/exclusive'],
    (inner) => new RejectsWith(inner, () => new Error('no')),
  ),
  mutant(
    'a denial is called unknown',
    ['late-claim/exclusive'],
    (inner) => new RejectsWith(inner, () => new BackendError('no', 'unknown')),
  ),
  mutant(
    'linger is at least the ttl',
    ['linger-shortens', 'linger-ends/exclusive'],
    (inner) => new LingersForTheTtl(inner),
  ),
  mutant(
    'two get in now and then',
    ['hundred-contenders', 'readers-writers'],
    (inner) => new LetsTwoIn(inner),
  ),
  mutant(
    'sentAtMs is by the wall clock',
    ['free-key/exclusive', 'wrong-clocks'],
    (inner) => new ReadsAnotherClock(inner),
  ),
  mutant('a node shows its password', ['nodes'], (inner) => new ShowsItsPassword(inner)),
  mutant('it works after stop', ['stop-twice'], (inner) => new WorksAfterStop(inner)),
  mutant('keys are compared without case', ['hostile-keys', 'long-keys'], (inner) => new FoldsCase(inner)),
];
