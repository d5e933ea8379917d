import type { Outcome } from './buyers.js';
import { handOffsOf, type Turn } from './hand-offs.js';
import type { GuardedSeatStore } from '../shop/seat-store.js';
import { ROWS } from './hall.js';

const NOTHING: Readonly<Record<Outcome, number>> = {
  sold: 0,
  soldOut: 0,
  busy: 0,
  declined: 0,
  unavailable: 0,
};

const COLUMNS: readonly { readonly title: string; readonly of: Outcome }[] = [
  { title: 'sold', of: 'sold' },
  { title: 'too late', of: 'soldOut' },
  { title: 'busy', of: 'busy' },
  { title: 'declined', of: 'declined' },
];

export function heading(title: string): string {
  return title.padEnd(37) + COLUMNS.map((column) => column.title.padStart(10)).join('');
}

/** Counts the answers as they come, and puts them into lines. */
export class Summary {
  private readonly total = { ...NOTHING };
  private ofRow = { ...NOTHING };
  private readonly startedAtMs = performance.now();
  private endedAtMs = this.startedAtMs;

  constructor(private readonly store: GuardedSeatStore) {}

  count(outcome: Outcome): void {
    this.total[outcome]++;
    this.ofRow[outcome]++;
    this.endedAtMs = performance.now();
  }

  openRow(): void {
    this.ofRow = { ...NOTHING };
  }

  /** How often each seat of a row was sold, and what the crowd was told; fits under `heading`. */
  row(index: number): string {
    const seats = (ROWS[index] ?? []).map((seat) => `${seat} ${this.store.timesSold(seat)}×`.padEnd(7));
    return `  ${seats.join('')}${COLUMNS.map(({ of }) => `${this.ofRow[of]}`.padStart(10)).join('')}`;
  }

  /** What the locks did, by the diaries of the replicas. */
  lines(turns: readonly Turn[]): string[] {
    const { soldOut, busy, declined, unavailable } = this.total;
    const seats = ROWS.flat();
    const once = seats.filter((seat) => this.store.timesSold(seat) === 1).length;
    const requests = Object.values(this.total).reduce((sum, count) => sum + count, 0);
    const ms = this.endedAtMs - this.startedAtMs;
    const lines = [
      ['sold exactly once', `${once} of ${seats.length} seats`],
      ['refused', `${soldOut} too late (410), ${busy} busy (409), ${declined} declined (402)`],
      ...(unavailable > 0 ? [['', `${unavailable} without an answer of the lock server in time (503)`]] : []),
      ['throughput', `${requests} requests in ${(ms / 1_000).toFixed(1)} s`],
    ];
    if (turns.length > 0) {
      const waits = turns.map(({ waitedMs }) => waitedMs);
      const { count, crossing, gapsMs } = handOffsOf(turns, this.store.visits);
      lines.push(
        ['wait for a lock', `p50 ${shortMs(quantile(waits, 0.5))}, p99 ${shortMs(quantile(waits, 0.99))}`],
        ['hand-offs', `${count}, ${crossing} of them to another replica`],
        ['', `p50 ${shortMs(quantile(gapsMs, 0.5))} from the last step of one to the next one's first`],
      );
    }
    return lines.map(([title = '', text = '']) => `  ${title.padEnd(20)}${text}`);
  }

  /** A sentence for each thing that must not be. */
  problems(): string[] {
    const twice = ROWS.flat().filter((seat) => this.store.timesSold(seat) > 1);
    const unsold = ROWS.flat().filter((seat) => this.store.timesSold(seat) === 0);
    return [
      ...(twice.length > 0 ? [`${twice.length} seats were sold more than once: ${twice.join(', ')}`] : []),
      ...(unsold.length > 0 ? [`${unsold.length} seats were not sold: ${unsold.join(', ')}`] : []),
    ];
  }
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length * part)] ?? 0;
}

const shortMs = (ms: number): string => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
