/** Something that has to be as it was before: keys, nodes, rows, sessions, sockets, timers, listeners. */
export interface Countable {
  /** In the plural: "timers". */
  readonly what: string;
  /** How many there are now, or which. */
  count(): Promise<number | readonly string[]> | number | readonly string[];
}

/** Remembers how much there was of everything, and tells what has come in addition. */
export class LeakJudge {
  private constructor(private readonly baseline: ReadonlyMap<Countable, number>) {}

  static async at(countables: readonly Countable[]): Promise<LeakJudge> {
    const baseline = new Map<Countable, number>();
    for (const countable of countables) baseline.set(countable, sizeOf(await countable.count()));
    return new LeakJudge(baseline);
  }

  /** A sentence for each of them that is more than it was. */
  async leaks(): Promise<string[]> {
    const leaks: string[] = [];
    for (const [countable, before] of this.baseline) {
      const now = await countable.count();
      if (sizeOf(now) <= before) continue;
      const which = typeof now === 'number' ? '' : `: ${now.slice(0, 10).join(', ')}`;
      leaks.push(`${sizeOf(now)} ${countable.what} instead of ${before}${which}`);
    }
    return leaks;
  }
}

function sizeOf(count: number | readonly string[]): number {
  return typeof count === 'number' ? count : count.length;
}
