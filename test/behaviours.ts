/**
 * What must hold, one line each, by its number. Tests name the lines that they are about at the start of their names:
 * `[12] a release between …`. A line that no test names fails `coverage-of-behaviours.spec.ts`.
 */
export const BEHAVIOURS: ReadonlyMap<number, string> = new Map([
  // basics
  [1, 'a free key is acquired; one try on a held key answers, and does not throw'],
  [2, 'the next one has the key at once; other keys have nothing to do with it'],
  [3, 'a call that is wrong is refused before anything is sent'],
  [4, 'hostile keys neither meet nor break anything'],
  [5, 'services with other prefixes have nothing in common'],
  [6, 'a hundred contenders, in one process and in several: one at a time, and all get their turn'],
  [7, 'what the guarded function returns or throws arrives as it is, whatever becomes of the release'],
  [8, 'a disposed lease is released once'],
  // waiting
  [9, 'a wait lasts as long as it was asked for, neither shorter nor longer'],
  [10, 'an abort ends a wait at once, and leaves nothing behind'],
  [11, 'an abort or a time-out in the moment of the grant leaves no lock without an owner'],
  [12, 'a release before anybody listens is heard'],
  [13, 'those who give up waiting do not silence the others'],
  [14, 'waiters get on without notifications'],
  [15, 'many waiters cost the server little'],
  [16, 'a dead holder is replaced when its ttl is over'],
  // lease and loss
  [17, 'a lease ends without renewal, and lasts with it'],
  [18, 'renewals do not overlap, and never become a hot loop'],
  [19, 'nothing is renewed after it was given back, or never granted'],
  [20, 'one failed renewal is no loss'],
  [21, 'a lock that was taken away is noticed within one renewal'],
  [22, 'a silent server is a loss in time'],
  [23, 'a loss that has been is told to those who ask later; a release is no loss'],
  [24, 'nothing is ever left unhandled'],
  [25, 'a blocked event loop is noticed before the next step'],
  [26, 'what is granted has time left, by the count of the server too'],
  [27, 'an extension sets the time that was asked for, or says that it did not'],
  [28, 'a thousand leases are renewed in a few calls'],
  // ownership
  [29, 'whoever lost a lock has no power over it any more'],
  [30, 'a release that came too late, or was repeated, answers truly'],
  [31, 'a lease can be handed to another process'],
  [32, 'people can see who holds what, and take it away'],
  [33, 'a shutdown leaves nothing behind'],
  // re-entry
  [34, 'a holder may enter again, its neighbours may not'],
  [35, 'entering again changes nothing about the lock, and needs an open scope'],
  // order
  [36, 'first come, first served'],
  [37, 'who died or left in the line holds nobody up'],
  [38, 'wrong clocks and greedy callers do no harm'],
  // sharing
  [39, 'readers together, writers alone, nobody starves'],
  [40, 'a weaker lock inside a stronger one, never the other way round'],
  [41, 'readers do not depend on one another'],
  [42, 'permits are counted, come back, and are given in the order of the line'],
  // several keys, fences, replicas
  [43, 'several keys come together or not at all'],
  [46, 'what too few replicas acknowledge does not count'],
  [47, 'fences rise, and a stale one is refused'],
  // SQL
  [48, 'tables are made once, their rows may be deleted, and no fence is forgotten'],
  [49, 'pools and poolers of any kind: no deadlock, no broken connection, no deafness that is not told'],
  // Nest
  // leadership, jobs
  [51, 'one leader at a time, whose terms rise, and who is replaced in time'],
  [52, 'elections go on through everything, and each end is told once'],
  [53, 'latecomers know who leads; settings that contradict each other are refused'],
  [54, 'each tick has its run, and each shard its owner'],
  [55, 'jobs end before the application does, and a class that is there twice runs once'],
  [56, 'nothing guarded runs without its lock'],
  [57, 'decorators work on every kind of provider and method, in any order'],
  [58, "errors of the body are the body's own"],
  [59, 'gauges return to zero'],
]);
