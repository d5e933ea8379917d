import { lockName, prefixOf } from './key-names.js';
import { slotOf } from './slots.js';

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

/** The names of one prefix, found in the order of their numbers, each slot's once. */
class SlotTags {
  private readonly bySlot = new Map<number, string>();
  private next = 0;

  constructor(
    private readonly clientPrefix: string,
    private readonly prefix: string,
  ) {}

  nameIn(slot: number): string {
    for (;;) {
      const found = this.bySlot.get(slot);
      if (found !== undefined) return found;
      const name = `{${this.prefix}#${this.next++}}:fence`;
      const its = slotOf(this.clientPrefix + name);
      if (!this.bySlot.has(its)) this.bySlot.set(its, name);
    }
  }
}
