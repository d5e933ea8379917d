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
import { mutant, type Mutant } from './mutant.js';

type Wakes = Map<string, Set<() => void>>;

/** Wakes everybody who ever listened on a key, at each end of a lease. */
class WakesEverybody extends Delegate {
  constructor(
    inner: LockBackend,
    private readonly wakes: Wakes,
  ) {
    super(inner);
  }

  override async claim(claim: Claim): Promise<Grant | Place> {
    return this.wrap(claim.key, await this.inner.claim(claim));
  }

  override async release(grant: Grant, lingerMs?: number): Promise<'released' | 'gone'> {
    const outcome = await this.inner.release(grant, lingerMs);
    for (const wake of this.ringOrder([...this.listeners(grant.claim.key)])) queueMicrotask(wake);
    return outcome;
  }

  protected ringOrder(wakes: (() => void)[]): (() => void)[] {
    return wakes;
  }

  protected wrap(key: string, answer: Grant | Place): Grant | Place {
    if (isGrant(answer)) return answer;
    const onHint = (wake: () => void): void => void this.listeners(key).add(wake);
    return placeOf(answer, async () => this.wrap(key, await answer.retry()), onHint);
  }

  private listeners(key: string): Set<() => void> {
    const known = this.wakes.get(key) ?? new Set();
    this.wakes.set(key, known);
    return known;
  }
}

/** Keeps no line at all: whoever asks first gets a free key. */
class Barges extends WakesEverybody {
  override async claim(claim: Claim): Promise<Grant | Place> {
    const answer = await super.claim({ ...claim, queue: false });
    return isGrant(answer) ? { ...answer, claim } : answer;
  }
}

/** Keeps no line, and wakes the youngest first. */
class ServesTheLastFirst extends Barges {
  protected override ringOrder(wakes: (() => void)[]): (() => void)[] {
    return wakes.reverse();
  }
}

class WakesNobody extends Delegate {
  override async claim(claim: Claim): Promise<Grant | Place> {
    return this.wrap(await this.inner.claim(claim));
  }

  private wrap(answer: Grant | Place): Grant | Place {
    if (isGrant(answer)) return answer;
    return placeOf(
      answer,
      async () => this.wrap(await answer.retry()),
      () => undefined,
    );
  }
}

/** Forgets what was hinted before somebody listened. */
class WakesOnlyListeners extends Delegate {
  override async claim(claim: Claim): Promise<Grant | Place> {
    const answer = await this.inner.claim(claim);
    if (isGrant(answer)) return answer;
    let listener: (() => void) | undefined;
    answer.onHint(() => listener?.());
    return placeOf(
      answer,
      () => answer.retry(),
      (wake) => (listener = wake),
    );
  }
}

/** One hint for each end of a lease, though several could come in. */
class WakesOneReader extends Delegate {
  private budget = 1;

  override async claim(claim: Claim): Promise<Grant | Place> {
    const answer = await this.inner.claim(claim);
    if (isGrant(answer)) return answer;
    return placeOf(
      answer,
      () => answer.retry(),
      (wake) => answer.onHint(() => (this.budget-- > 0 ? wake() : undefined)),
    );
  }

  override release(grant: Grant, lingerMs?: number): Promise<'released' | 'gone'> {
    this.budget = 1;
    return this.inner.release(grant, lingerMs);
  }
}

class AlwaysQueues extends Delegate {
  override async claim(claim: Claim): Promise<Grant | Place> {
    const answer = await this.inner.claim({ ...claim, queue: true });
    return isGrant(answer) ? { ...answer, claim } : answer;
  }
}

/** Sends each waiter's signs of life itself, so that the dead are granted the key. */
class KeepsTheDeadAlive extends Delegate {
  constructor(
    inner: LockBackend,
    private readonly waiting: Map<string, Claim>,
  ) {
    super(inner);
  }

  override async claim(claim: Claim): Promise<Grant | Place> {
    const others = Array.from(this.waiting.values());
    for (const other of others) {
      if (other.key === claim.key && other.owner !== claim.owner)
        await this.inner.claim(other).catch(() => undefined);
    }
    const answer = await this.inner.claim(claim);
    if (isGrant(answer)) this.waiting.delete(claim.owner);
    else if (claim.queue) this.waiting.set(claim.owner, claim);
    return isGrant(answer) ? answer : placeOf(answer, () => this.claim(claim));
  }

  override abandon(claim: Claim): Promise<void> {
    this.waiting.delete(claim.owner);
    return this.inner.abandon(claim);
  }

  override release(grant: Grant, lingerMs?: number): Promise<'released' | 'gone'> {
    this.waiting.delete(grant.claim.owner);
    return this.inner.release(grant, lingerMs);
  }
}

/** Gives owners another name inside, and a new one whenever they are to be somebody else. */
class Renames extends Delegate {
  constructor(
    inner: LockBackend,
    private readonly names: Map<string, number>,
  ) {
    super(inner);
  }

  override async claim(claim: Claim): Promise<Grant | Place> {
    const answer = await this.inner.claim(this.inside(claim));
    return isGrant(answer) ? { ...answer, claim } : placeOf(answer, () => this.claim(claim));
  }

  override async abandon(claim: Claim): Promise<void> {
    await this.inner.abandon(this.inside(claim));
    this.rename(claim);
  }

  override renew(grants: readonly Grant[]): ReturnType<LockBackend['renew']> {
    return this.inner.renew(grants.map((grant) => ({ ...grant, claim: this.inside(grant.claim) })));
  }

  override release(grant: Grant, lingerMs?: number): Promise<'released' | 'gone'> {
    return this.inner.release({ ...grant, claim: this.inside(grant.claim) }, lingerMs);
  }

  protected rename({ key, owner }: Claim): void {
    const name = `${key} ${owner}`;
    this.names.set(name, (this.names.get(name) ?? 0) + 1);
  }

  protected inside(claim: Claim): Claim {
    const n = this.names.get(`${claim.key} ${claim.owner}`);
    return n === undefined ? claim : { ...claim, owner: `${claim.owner}.${n}` };
  }
}

/** Puts a waiter who asks again at the end of the line; only one who wants to be alone, else two would chase each other for ever. */
class LosesThePlace extends Renames {
  private readonly waits = new Set<string>();

  override abandon(claim: Claim): Promise<void> {
    return this.inner.abandon(this.inside(claim));
  }

  override async claim(claim: Claim): Promise<Grant | Place> {
    const snapshot = await this.inner.inspect(claim.key);
    const stands =
      claim.mode === 'exclusive' && this.waits.has(claim.owner) && (snapshot?.holders.length ?? 0) > 0;
    if (stands) {
      await this.inner.abandon(this.inside(claim));
      this.rename(claim);
    }
    const answer = await super.claim(claim);
    if (isGrant(answer)) this.waits.delete(claim.owner);
    else if (claim.queue) this.waits.add(claim.owner);
    return answer;
  }
}

/** Keeps writers out of the line while readers are in. */
class StarvesWriters extends Delegate {
  override async claim(claim: Claim): Promise<Grant | Place> {
    const snapshot = await this.inner.inspect(claim.key);
    const passedOver = claim.mode === 'exclusive' && snapshot?.mode === 'shared';
    const answer = await this.inner.claim(passedOver ? { ...claim, queue: false } : claim);
    return isGrant(answer) ? { ...answer, claim } : placeOf(answer, () => this.claim(claim), (wake) => answer.onHint(wake)); // prettier-ignore
  }
}

class OverbooksPermits extends Delegate {
  override async claim(claim: Claim): Promise<Grant | Place> {
    const answer = await this.inner.claim(claim.mode === 'permits' ? { ...claim, of: claim.of + 1 } : claim);
    return isGrant(answer) ? { ...answer, claim } : answer;
  }
}

class GrantsInPart extends Delegate {
  override async claim(claim: Claim): Promise<Grant | Place> {
    if (claim.mode !== 'permits') return this.inner.claim(claim);
    const holders = (await this.inner.inspect(claim.key))?.holders ?? [];
    const left = claim.of - holders.reduce((sum, { take }) => sum + take, 0);
    const take = left > 0 ? Math.min(left, claim.take) : claim.take;
    const answer = await this.inner.claim({ ...claim, take });
    return isGrant(answer) ? { ...answer, claim } : answer;
  }
}

/** Takes `_` in a prefix for any character, and ignores case. */
class ListsByPattern extends Delegate {
  override async *list(prefix: string): AsyncGenerator<LockSnapshot> {
    const pattern = new RegExp(`^${prefix.replaceAll('_', '.')}`, 'i');
    for await (const snapshot of this.inner.list(''))
      if (snapshot && pattern.test(snapshot.key)) yield snapshot;
  }
}

class HidesPermits extends Delegate {
  override readonly traits: BackendTraits = { ...this.inner.traits, modes: ['exclusive', 'shared'] };
}

export const lineMutants: readonly Mutant[] = [
  {
    bug: 'whoever asks first gets a free key',
    caughtBy: ['no-barging', 'claim-again-place', 'writer-holds-back', 'permits-large'],
    plant: () => {
      const wakes: Wakes = new Map();
      return (inner) => new Barges(inner, wakes);
    },
  },
  {
    bug: 'who came last is served first',
    caughtBy: ['first-come', 'no-barging', 'turns'],
    plant: () => {
      const wakes: Wakes = new Map();
      return (inner) => new ServesTheLastFirst(inner, wakes);
    },
  },
  {
    bug: 'a release wakes everybody',
    caughtBy: ['one-hint-a-hand-off', 'readers-woken'],
    plant: () => {
      const wakes: Wakes = new Map();
      return (inner) => new WakesEverybody(inner, wakes);
    },
  },
  mutant(
    'nobody is woken',
    ['hint', 'one-hint-a-hand-off', 'abandon-wakes', 'evict-wakes'],
    (inner) => new WakesNobody(inner),
  ),
  mutant(
    'a hint before somebody listens is lost',
    ['release-before-listening'],
    (inner) => new WakesOnlyListeners(inner),
  ),
  {
    bug: 'readers are woken one at a time',
    caughtBy: ['readers-woken'],
    plant: () => (inner) => new WakesOneReader(inner),
  },
  mutant('a zero-wait claim stands in the line', ['no-trace'], (inner) => new AlwaysQueues(inner)),
  {
    bug: 'a dead head is never skipped',
    caughtBy: ['dead-head', 'dropped-no-trace'],
    plant: () => {
      const waiting = new Map<string, Claim>();
      return (inner) => new KeepsTheDeadAlive(inner, waiting);
    },
  },
  {
    bug: 'a late claim is accepted',
    caughtBy: ['late-claim/exclusive', 'late-claim-after-grant', 'late-retry'],
    plant: () => {
      const names = new Map<string, number>();
      return (inner) => new Renames(inner, names);
    },
  },
  {
    bug: 'who asks again goes to the end of the line',
    caughtBy: ['claim-again-place', 'live-head'],
    plant: () => {
      const names = new Map<string, number>();
      return (inner) => new LosesThePlace(inner, names);
    },
  },
  mutant('readers pass waiting writers', ['writer-holds-back'], (inner) => new StarvesWriters(inner)),
  mutant(
    'one permit too many',
    ['permits-alone', 'permits-maximum', 'permits-contended'],
    (inner) => new OverbooksPermits(inner),
  ),
  mutant('a weighted request is granted in part', ['permits-weighted'], (inner) => new GrantsInPart(inner)),
  mutant('list takes the prefix for a pattern', ['list-prefix'], (inner) => new ListsByPattern(inner)),
  mutant('a trait is lost', ['traits'], (inner) => new HidesPermits(inner)),
  {
    bug: 'a mode that is not among the traits is granted',
    caughtBy: ['refuses/permits'],
    modes: ['exclusive', 'shared'],
    plant: () => (inner) => new HidesPermits(inner),
  },
];
