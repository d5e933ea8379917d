import { leaderGone } from './cells/leader-faults.js';
import {
  connectionCut,
  grantLate,
  herdAndStorm,
  holderCutOff,
  notificationsDead,
  poolerBetween,
  replyLost,
  slowBytes,
} from './cells/network-faults.js';
import type { Play } from './cells/play.js';
import { closed, holderFrozen, holderKilled, loopBlocked, waiterGone } from './cells/process-faults.js';
import {
  clockLeaps,
  evicted,
  failOver,
  serverBusy,
  serverCrashed,
  serverFrozen,
  serverRefuses,
  stateWiped,
} from './cells/server-faults.js';
import { FAULTS, type Fault, type Letter } from './fault-table.js';
import { WORLDS } from './worlds.js';

const PLAYS: Readonly<Record<number, Play>> = {
  1: holderKilled,
  2: holderFrozen,
  3: loopBlocked,
  4: waiterGone,
  5: holderCutOff,
  6: serverFrozen,
  7: serverCrashed,
  8: stateWiped,
  9: replyLost,
  10: connectionCut,
  11: notificationsDead,
  12: slowBytes,
  13: serverBusy,
  14: serverRefuses,
  15: evicted,
  16: failOver,
  17: failOver,
  21: clockLeaps,
  23: poolerBetween,
  24: closed,
  25: herdAndStorm,
  27: grantLate,
  28: leaderGone,
};

/** One fault on one backend. */
export interface Cell {
  /** As in `4C`. */
  readonly name: string;
  readonly fault: Fault;
  readonly letter: Letter;
  readonly play: Play;
}

/** All that can be played. */
export const CELLS: readonly Cell[] = FAULTS.flatMap((fault) => {
  const play = PLAYS[fault.number];
  const letters = fault.on.filter((letter) => letter in WORLDS);
  return play ? letters.map((letter) => ({ name: `${fault.number}${letter}`, fault, letter, play })) : [];
});

/** @param names separated by commas: `4C,5R`, or a fault `4`, or a backend `C`; all without any */
export function cellsOf(names: string | undefined): readonly Cell[] {
  if (names === undefined) return CELLS;
  const chosen = names.split(',').flatMap((name) => {
    const found = CELLS.filter(
      (cell) => name === cell.name || name === cell.letter || name === String(cell.fault.number),
    );
    if (found.length === 0)
      throw new Error(`There is no cell ${name}; there are ${CELLS.map((cell) => cell.name).join(', ')}.`);
    return found;
  });
  return [...new Set(chosen)];
}
