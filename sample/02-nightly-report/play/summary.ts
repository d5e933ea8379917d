import type { Job } from '../report/happening.js';
import type { Chronicle } from './stage.js';

type Entry = Chronicle[number];
type Run = Extract<Entry, { what: 'ran' }>;

const DESCRIPTIONS: Readonly<Record<Job, string>> = {
  'once-per-tick': '@OncePerTick',
  locked: '@Locked + minHold',
  'leader-only': '@LeaderOnly',
  sharded: '@Sharded',
};
const SHARDS = 8;

/** What the chronicle proves, tick by tick. */
export class Summary {
  readonly problems: string[] = [];
  private readonly runs: readonly Run[];

  /** @param ticks the seconds that count, from the first to the last */
  constructor(
    private readonly chronicle: Chronicle,
    private readonly ticks: readonly number[],
  ) {
    this.runs = chronicle.filter((entry): entry is Run => entry.what === 'ran');
  }

  lines(): string[] {
    return [
      this.once('once-per-tick'),
      this.atATime('locked'),
      this.atATime('leader-only'),
      this.shards(),
      this.terms(),
    ];
  }

  private once(job: Job): string {
    const counts = this.counts(job);
    const wrong = this.ticks.filter((tick) => counts.get(tick)?.length !== 1);
    for (const tick of wrong) {
      this.problems.push(
        `The tick ${clock(tick)} was run ${counts.get(tick)?.length ?? 0} times by ${DESCRIPTIONS[job]}`,
      );
    }
    return this.line(
      job,
      `${this.ticks.length - wrong.length} of ${this.ticks.length} ticks ran exactly once`,
    );
  }

  /** Those that go by the lock or the leader are not bound to a tick: one that lags runs in the next second. */
  private atATime(job: Job): string {
    const counts = this.counts(job);
    const twice = this.ticks.filter((tick) => (counts.get(tick)?.length ?? 0) > 1);
    const never = this.ticks.filter((tick) => !counts.has(tick));
    const missing = never.length === 0 ? '' : `, ${never.length} had nobody`;
    const double = twice.length === 0 ? '' : `, ${twice.length} ran twice`;
    return this.line(
      job,
      `${this.ticks.length - twice.length - never.length} of ${this.ticks.length} ticks ran once${missing}${double}`,
    );
  }

  /** By its fence, each shard went from hand to hand, and never back to an older one. */
  private shards(): string {
    const owners = new Map<number, { readonly replica: string; readonly fence: bigint }>();
    let moves = 0;
    const runs = this.runs.filter(({ job }) => job === 'sharded').sort((a, b) => a.atMs - b.atMs);
    for (const { replica, shards } of runs) {
      for (const { index, fence } of shards) {
        const before = owners.get(index);
        const now = { replica, fence: BigInt(fence) };
        if (before && now.fence < before.fence)
          this.problems.push(
            `Shard ${index} was worked on by ${replica} after it had gone to ${before.replica}`,
          );
        if (before && before.replica !== replica) moves++;
        owners.set(index, now);
      }
    }
    if (owners.size !== SHARDS) this.problems.push(`Only ${owners.size} of ${SHARDS} shards were worked on`);
    const spread = tally([...owners.values()]);
    return this.line('sharded', `${owners.size} of ${SHARDS} shards, ${moves} moves; at the end ${spread}`);
  }

  private terms(): string {
    const terms = this.chronicle.flatMap((entry) => (entry.what === 'elected' ? [BigInt(entry.term)] : []));
    const rise = terms.every((term, index) => index === 0 || term > (terms[index - 1] ?? 0n));
    if (!rise) this.problems.push('The terms of the leaders did not rise');
    return `  ${'terms'.padEnd(20)}${terms.length} leaders, ${rise ? 'each with a higher term' : 'out of order'}`;
  }

  private counts(job: Job): Map<number, Run[]> {
    const runs = this.runs.filter((run) => run.job === job && this.ticks.includes(run.tick));
    return new Map(
      this.ticks.flatMap((tick) => {
        const own = runs.filter((run) => run.tick === tick);
        return own.length === 0 ? [] : [[tick, own] as const];
      }),
    );
  }

  private line(job: Job, text: string): string {
    const who = job === 'sharded' ? '' : ` (${tally(this.runs.filter((run) => run.job === job))})`;
    return `  ${DESCRIPTIONS[job].padEnd(20)}${text}${who}`;
  }
}

/** How many each replica has: `replica-1 3, replica-2 5`. */
function tally(entries: readonly { readonly replica: string }[]): string {
  const counts = new Map<string, number>();
  for (const { replica } of entries) counts.set(replica, (counts.get(replica) ?? 0) + 1);
  return [...counts]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}

function clock(tick: number): string {
  return new Date(tick * 1_000).toISOString().slice(11, 19);
}
