/** What can stand in a {@link Chain}; in one at a time. */
export interface Link<T> {
  before: T | undefined;
  after: T | undefined;
}

/**
 * Things that know their neighbours, in the order in which they came. It is for what comes and goes with every lock,
 * where a Set would be a trap: V8 moves a Set to a new table every so often, the old table keeps the new one alive,
 * and once one of them has grown old, so does all that is ever put into the Set, until the next full collection.
 */
export class Chain<T extends Link<T>> {
  first: T | undefined;
  last: T | undefined;
  private count = 0;

  get size(): number {
    return this.count;
  }

  add(link: T): void {
    const { last } = this;
    link.before = last;
    if (last) last.after = link;
    else this.first = link;
    this.last = link;
    this.count++;
  }

  /** False when it does not stand in here (any more). */
  delete(link: T): boolean {
    const { before, after } = link;
    if (!before && this.first !== link) return false;
    if (before) before.after = after;
    else this.first = after;
    if (after) after.before = before;
    else this.last = before;
    link.before = undefined;
    link.after = undefined;
    this.count--;
    return true;
  }

  /** As they stand now: for a caller who changes the chain while he goes through it. */
  toArray(): T[] {
    const all: T[] = [];
    for (let link = this.first; link; link = link.after) all.push(link);
    return all;
  }
}
