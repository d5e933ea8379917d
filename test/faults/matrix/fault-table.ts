/** What has to hold whatever happens. */
export const INVARIANTS = {
  I1: 'exclusion at a guarded resource that checks fences',
  I2: 'beliefs of holders do not overlap',
  I3: 'a holder is told before the ttl has elapsed',
  I4: 'no lost wake-up: a free key is taken within 100 ms when notified, within 1 s by poll',
  I5: 'keys, sockets, timers and gauges return to the baseline',
  I6: 'recovered within X after healing',
  I7: 'no unhandled rejection',
  I8: 'every call settles by its deadline + 250 ms, tells the truth, masks nothing',
} as const;

export type Invariant = keyof typeof INVARIANTS;

/** M memory, R redis, S Sentinel, C cluster, L redlock, Z zookeeper, P postgres, Y mariadb. */
export type Letter = 'M' | 'R' | 'S' | 'C' | 'L' | 'Z' | 'P' | 'Y';

const ALL = 'MRSCLZPY';
const ALL_BUT_M = 'RSCLZPY';

/** One line of the table of faults. */
export interface Fault {
  readonly number: number;
  readonly title: string;
  /** The backends that can meet it. */
  readonly on: readonly Letter[];
  readonly holds: readonly Invariant[];
}

function fault(number: number, title: string, on: string, holds: string): Fault {
  return { number, title, on: on.split('') as Letter[], holds: holds.split(' ') as Invariant[] };
}

/** The faults that a lock has to survive. Where X is named, I6 is in it. */
export const FAULTS: readonly Fault[] = [
  fault(1, 'holder killed', ALL_BUT_M, 'I1 I2 I4 I5 I6'),
  fault(2, 'holder frozen past its ttl, then writes', ALL, 'I1 I3 I4 I6 I8'),
  fault(3, 'event loop blocked past the ttl', ALL, 'I1 I3 I6 I7'),
  fault(4, 'waiter killed, or aborting at the instant of the grant', ALL, 'I4 I5 I6 I8'),
  fault(5, 'holder cut off, silently', ALL_BUT_M, 'I1 I2 I3 I6'),
  fault(6, 'server frozen for three ttl', 'RLZPY', 'I3 I6 I7 I8'),
  fault(7, 'server killed, durable restart', ALL_BUT_M, 'I1 I2 I3 I4 I6'),
  fault(8, 'state wiped', ALL_BUT_M, 'I1 I3 I6'),
  fault(9, 'reply lost: of claim, renewal, release', ALL_BUT_M, 'I4 I5 I6 I8'),
  fault(10, 'connection cut', ALL_BUT_M, 'I3 I6 I7'),
  fault(11, 'notifications dead', 'RSCLZP', 'I4 I6'),
  fault(12, 'slow or sliced bytes', ALL_BUT_M, 'I1 I2 I8'),
  fault(13, 'busy server', 'RSCLPY', 'I3 I6 I7 I8'),
  fault(14, 'the server refuses', ALL_BUT_M, 'I6 I7 I8'),
  fault(15, 'eviction', 'R', 'I1 I3'),
  fault(16, 'fail-over, clean and losing a write', 'S', 'I1 I6'),
  fault(17, 'cluster fail-over, slot move, CLUSTERDOWN', 'C', 'I1 I3 I6 I7 I8'),
  fault(18, 'quorum minority dead or frozen', 'LZ', 'I6 I8'),
  fault(19, 'quorum majority dead or frozen', 'LZ', 'I3 I6 I7 I8'),
  fault(20, 'one quorum node restarts empty', 'L', 'I2 I6'),
  fault(21, 'clock jump of a minute, of the server and of a client', 'RL', 'I1 I6'),
  fault(22, 'session expired', 'Z', 'I1 I3 I6'),
  fault(23, 'a transaction pooler in the way', 'P', 'I1 I2 I4 I6 I8'),
  fault(24, 'close() with 100 holders and 100 waiters', ALL, 'I5 I6 I7'),
  fault(25, 'herd of 200 waiters in 4 processes, reconnect storm of 500 leases', ALL_BUT_M, 'I4 I6'),
  fault(27, 'a grant that arrives after its lease has ended', ALL_BUT_M, 'I1 I2 I3 I6 I7 I8'),
  fault(28, 'leader resigned, then killed or cut off, at the usual ttl', ALL_BUT_M, 'I1 I2 I3 I6 I7'),
];

/** 26, the soak, is no cell: it is the nightly run of all of these. */
export function faultOf(number: number): Fault {
  const found = FAULTS.find((candidate) => candidate.number === number);
  if (!found) throw new Error(`There is no fault ${number}.`);
  return found;
}
