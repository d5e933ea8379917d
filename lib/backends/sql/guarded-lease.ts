/** What a guard has to know of a lease. */
export interface GuardedLease {
  /** As it was asked for, without the prefix. */
  readonly key: string;
  /** That of the lease. */
  readonly fence: bigint;
}

/** Where the lease's lock is kept. */
export interface GuardSettings {
  /** That of the module. Default 'interlock'. */
  readonly prefix?: string;
  /** As given to the backend. Default 'interlock'. */
  readonly name?: string;
}
