import { lockName, prefixOf } from './key-names.js';
import { slotOf, slotsOfNumbered } from './slots.js';

/**
 * Where a cluster remembers the last fence of a lock: in the lock's own slot, because a script reaches no other. One
 * name for all locks of a prefix that share a slot, so that it costs no memory per lock: `{prefix#n}:fence`, with the
 * first number n whose slot is the one wanted. A `#` is in no lock's name.
 */
export class SlotFences {
  private readonly byPrefix = new Map<string, SlotTags>();

  /** @param clientPrefix what the client puts before every key */
  constructor(private readonly clientPrefix: string) {}

  nameFor(key: string): string {
    const prefix = prefixOf(key);
    let tags = this.byPrefix.get(prefix);
    if (!tags) this.byPrefix.set(prefix, (tags = new SlotTags(this.clientPrefix, prefix)));
    return tags.nameIn(slotOf(this.clientPrefix + lockName(key)));
  }
}

/** The names of one prefix, found in the order of their numbers, each slot's once; all of them in some milliseconds. */
class SlotTags {
  private readonly numbers = new Map<number, number>();
  private next = 0;
  private readonly slotOfNumber: (number: number) => number;

  constructor(
    clientPrefix: string,
    private readonly prefix: string,
  ) {
    // with a brace of its own the client decides on the slot
    this.slotOfNumber = clientPrefix.includes('{')
      ? (number) => slotOf(clientPrefix + this.nameOf(number))
      : slotsOfNumbered(`${prefix}#`);
  }

  nameIn(slot: number): string {
    for (;;) {
      const found = this.numbers.get(slot);
      if (found !== undefined) return this.nameOf(found);
      const its = this.slotOfNumber(this.next);
      if (!this.numbers.has(its)) this.numbers.set(its, this.next);
      this.next++;
    }
  }

  private nameOf(number: number): string {
    return `{${this.prefix}#${number}}:fence`;
  }
}
