import type { Happening } from '../report/happening.js';

/** A replica, as those who watch it see it. */
export interface Replica {
  readonly name: string;
  resign(): unknown;
  /** Nothing is heard of it any more, from one moment to the next. */
  strike(): unknown;
}

/** Where the piece is played: in one process, or in several. */
export interface Stage {
  readonly title: string;
  /** What happens to a replica that is struck. */
  readonly accident: string;
  readonly replicas: readonly Replica[];
}

/** What happened where, in the order in which it was heard of. */
export type Chronicle = (Happening & { readonly replica: string })[];
