import type { Contestant } from '../contestants/contestant.js';
import type { Rig } from '../rig.js';

/** What the contestants have to do, and what is made of it. */
export interface Discipline {
  readonly name: string;
  readonly title: string;
  readonly columns: readonly Column[];
  readonly bars: readonly Bar[];
  /** Who takes part; default: everybody. */
  readonly contestants?: readonly Contestant[];
  /** One round of one contestant. */
  measure(contestant: Contestant, rig: Rig): Promise<Measurement>;
}

export interface Measurement {
  /** One figure a round, or many, as the discipline likes. */
  readonly values: readonly number[];
  /** Commands sent to the server, and what they were sent for. */
  readonly calls: number;
  readonly acquisitions: number;
}

/** The measurements of one discipline, round by round, by the contestant's name. */
export type Results = ReadonlyMap<string, readonly Measurement[]>;

export interface Column {
  readonly title: string;
  readonly digits: number;
  figure(name: string, results: Results): number;
}

/** What we want of ourselves. */
export interface Bar {
  readonly title: string;
  readonly digits: number;
  figure(results: Results): number;
  readonly limit: number;
  /** Whether the figure has to stay below its limit or to reach it. */
  readonly side: 'at most' | 'at least';
}
