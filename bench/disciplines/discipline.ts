import { whyAbsent } from '../contestants/absence.js';
import type { Contestant, ServerName } from '../contestants/contestant.js';
import type { Rig } from '../rig.js';

/** What has to be done, by whom, and what is made of it. */
export interface Discipline {
  readonly name: string;
  readonly title: string;
  readonly entries: readonly Entry[];
  /** What it needs beside Redis. */
  readonly server?: ServerName;
  /**
   * A round is made of so many turns of each entry; default 1. The shorter a turn, the more alike are the
   * circumstances of those who are compared.
   */
  readonly turns?: number;
  /** For those that take long: not more rounds than this, however many are asked for. */
  readonly rounds?: number;
  /** Whether a round comes first that does not count; default true. */
  readonly warmUp?: boolean;
  readonly columns: readonly Column[];
  readonly bars: readonly Bar[];
}

/** One who takes part in a discipline. */
export interface Entry {
  readonly name: string;
  /** One turn. */
  measure(rig: Rig): Promise<Measurement | Remark>;
}

/** Why there is no figure, and will be none: the entry is not asked again, and its row says this instead. */
export interface Remark {
  readonly remark: string;
}

export interface Measurement {
  /** One figure a turn, or many, as the discipline likes. */
  readonly values: readonly number[];
  /** Commands sent to the server, and the acquisitions that they were sent for. */
  readonly calls: number;
  readonly acquisitions: number;
  /** Further figures of the turn, by name. */
  readonly also?: Readonly<Record<string, number>>;
}

/** The measurements of one discipline, turn by turn, by the name of the entry. */
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
  /** @param all the results of all disciplines up to this one, by name */
  figure(results: Results, all: ReadonlyMap<string, Results>): number;
  readonly limit: number;
  /** Whether the figure has to stay below its limit or to reach it. */
  readonly side: 'at most' | 'at least';
}

/** Those that cannot be loaded here say so in their row. */
export function entriesOf(
  contestants: readonly Contestant[],
  measure: (contestant: Contestant, rig: Rig) => Promise<Measurement | Remark>,
): Entry[] {
  return contestants.map((contestant) => ({
    name: contestant.name,
    async measure(rig) {
      const why = await whyAbsent(contestant);
      return why === undefined ? measure(contestant, rig) : { remark: `not run: ${why}` };
    },
  }));
}
