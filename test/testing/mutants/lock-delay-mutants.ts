import {
  isGrant,
  type BackendTraits,
  type Claim,
  type Grant,
  type LockBackend,
  type LockSnapshot,
  type Place,
} from '../../../lib/backends/lock-backend.js';
import { Delegate, placeOf } from './delegate.js';
import { mutant, type Mutant, type Mutation } from './mutant.js';

const LOCK_DELAY_MS = 400;
const MODES = ['exclusive', 'shared', 'permits'];

class OnlySaysSo extends Delegate {
  override readonly traits: BackendTraits;

  constructor(inner: LockBackend) {
    super(inner);
    this.traits = { ...inner.traits, lockDelayMs: LOCK_DELAY_MS };
  }
}

class DelaysAReleaseToo extends Delegate {
  override release(grant: Grant, lingerMs = 0): Promise<'released' | 'gone'> {
    return this.inner.release(grant, Math.max(lingerMs, LOCK_DELAY_MS));
  }
}

class DelaysALingerToo extends Delegate {
  override release(grant: Grant, lingerMs = 0): Promise<'released' | 'gone'> {
    return this.inner.release(grant, lingerMs > 0 ? lingerMs + LOCK_DELAY_MS : 0);
  }
}

class OpensForTheDead extends Delegate {
  override async release(grant: Grant, lingerMs?: number): Promise<'released' | 'gone'> {
    const outcome = await this.inner.release(grant, lingerMs);
    if (outcome === 'gone') await this.inner.evict(grant.claim.key);
    return outcome;
  }
}

class OpensForTheAbandoned extends Delegate {
  override async abandon(claim: Claim): Promise<void> {
    await this.inner.abandon(claim);
    const snapshot = await this.inner.inspect(claim.key);
    if (snapshot?.holders.some(({ owner }) => owner === claim.owner)) await this.inner.evict(claim.key);
  }
}

class EvictsOnlyTheLiving extends Delegate {
  override async evict(key: string): Promise<boolean> {
    const snapshot = await this.inner.inspect(key);
    return snapshot?.holders.every(({ state }) => state === 'delayed') ? false : this.inner.evict(key);
  }
}

class HidesTheDelay extends Delegate {
  override async inspect(key: string): Promise<LockSnapshot | null> {
    const snapshot = await this.inner.inspect(key);
    return (
      snapshot && { ...snapshot, holders: snapshot.holders.map(({ state: _state, ...holder }) => holder) }
    );
  }
}

class SaysNotUntilWhen extends Delegate {
  override async claim(claim: Claim): Promise<Grant | Place> {
    return this.vague(claim, await this.inner.claim(claim));
  }

  private vague(claim: Claim, answer: Grant | Place): Grant | Place {
    if (isGrant(answer)) return answer;
    const { expiresInMs: _expiresInMs, ...busy } = answer.busy;
    const place = placeOf(answer, async () => this.vague(claim, await answer.retry()));
    return { ...place, busy };
  }
}

function delayed(
  bug: string,
  caughtBy: readonly string[],
  mutation: Mutation,
  lockDelayMs = LOCK_DELAY_MS,
): Mutant {
  return { ...mutant(bug, caughtBy, mutation), lockDelayMs, claimedDelayMs: LOCK_DELAY_MS };
}

function inAllModes(id: string): string[] {
  return MODES.map((mode) => `${id}/${mode}`);
}

export const lockDelayMutants: readonly Mutant[] = [
  delayed(
    'a lockDelay that is promised and not kept',
    [...inAllModes('delay-closes'), 'delay-readers', 'delay-permits', 'delay-line'],
    (inner) => new OnlySaysSo(inner),
    0,
  ),
  delayed(
    'a lockDelay after a release',
    inAllModes('delay-release'),
    (inner) => new DelaysAReleaseToo(inner),
  ),
  delayed('a lockDelay after a linger', inAllModes('delay-linger'), (inner) => new DelaysALingerToo(inner)),
  delayed(
    'a late release that opens what is closed after a death',
    inAllModes('delay-owner'),
    (inner) => new OpensForTheDead(inner),
  ),
  delayed(
    'an abandonment that opens what is closed after a death',
    inAllModes('delay-owner'),
    (inner) => new OpensForTheAbandoned(inner),
  ),
  delayed(
    'an eviction that does not open what is closed',
    inAllModes('delay-evict'),
    (inner) => new EvictsOnlyTheLiving(inner),
  ),
  delayed('a closed key that looks held', inAllModes('delay-inspect'), (inner) => new HidesTheDelay(inner)),
  delayed(
    'no word of when a closed key opens',
    inAllModes('delay-closes'),
    (inner) => new SaysNotUntilWhen(inner),
  ),
];
