import type { Claim } from '../../../lib/backends/lock-backend.js';
import { Delegate } from './delegate.js';
import { mutant, type Mutant } from './mutant.js';

const MODES = ['exclusive', 'shared', 'permits'];

class TellsNobodyToAsk extends Delegate {
  protected override async showLife(claims: readonly Claim[]): Promise<readonly boolean[]> {
    return (await super.showLife(claims)).map(() => false);
  }
}

class TellsAllToAsk extends Delegate {
  protected override async showLife(claims: readonly Claim[]): Promise<readonly boolean[]> {
    const answers = await super.showLife(claims);
    return answers.map(() => answers.includes(true));
  }
}

class ShowsNoLife extends Delegate {
  protected override async showLife(claims: readonly Claim[]): Promise<readonly boolean[]> {
    const snapshots = await Promise.all(claims.map(({ key }) => this.inner.inspect(key)));
    return snapshots.map((snapshot) => snapshot === null || snapshot.holders.length === 0);
  }
}

class ShowsLifeOfTheFirstAlone extends Delegate {
  protected override async showLife(claims: readonly Claim[]): Promise<readonly boolean[]> {
    const [answer = true] = await super.showLife(claims.slice(0, 1));
    return claims.map(() => answer);
  }
}

class ClaimsInstead extends Delegate {
  protected override async showLife(claims: readonly Claim[]): Promise<readonly boolean[]> {
    const answers = claims.map((claim) => this.inner.claim(claim).catch(() => undefined));
    return (await Promise.all(answers)).map((answer) => answer !== undefined && 'fence' in answer);
  }
}

function inAllModes(id: string): string[] {
  return MODES.map((mode) => `${id}/${mode}`);
}

export const stayMutants: readonly Mutant[] = [
  mutant(
    'signs of life that never tell anybody to ask',
    [...inAllModes('stay-free'), ...inAllModes('stay-expiry'), 'stay-lost', 'stay-dead-head'],
    (inner) => new TellsNobodyToAsk(inner),
  ),
  mutant(
    'signs of life that wake all when one may come in',
    inAllModes('stay-free'),
    (inner) => new TellsAllToAsk(inner),
  ),
  mutant('signs of life that show none', inAllModes('stay-keeps'), (inner) => new ShowsNoLife(inner)),
  mutant(
    'signs of life for the first of a batch alone',
    inAllModes('stay-keeps'),
    (inner) => new ShowsLifeOfTheFirstAlone(inner),
  ),
  mutant(
    'signs of life that take the key, or a new place',
    [...inAllModes('stay-free'), 'stay-lost'],
    (inner) => new ClaimsInstead(inner),
  ),
];
