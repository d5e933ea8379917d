import type { Clock } from '../core/clock.js';

/**
 * How holders of one key exclude each other.
 *
 * - `exclusive`: alone.
 * - `shared`: together with other shared holders, never with an exclusive one.
 * - `permits`: together with other permit holders, as long as the sum of what they take stays within the
 *   smallest `of` among them.
 *
 * Holders of different modes never hold one key at the same time.
 */
export type LockMode = 'exclusive' | 'shared' | 'permits';

/**
 * One wish for one key. Immutable; it may be sent again after an unknown outcome, and means the same then.
 */
export interface Claim {
  /** Canonical and prefixed; at most 512 characters out of `[A-Za-z0-9_.:/@~-]`; compared byte by byte. */
  readonly key: string;
  /** Unique to this acquisition; out of the same characters, at most 128 of them. */
  readonly owner: string;
  /** How it is to be held. */
  readonly mode: LockMode;
  /** Permits wanted; 1 in the other modes. */
  readonly take: number;
  /** Permits that exist; 1 when exclusive, and meaningless (0) when shared. */
  readonly of: number;
  /** A whole number of milliseconds, counted by the server from the moment that it carries the claim out. */
  readonly ttlMs: number;
  /** True: when busy, take a place in the line. False: leave no trace when busy. */
  readonly queue: boolean;
  /** True: the lease has to have its ttl from the start, because nobody renews it or its holder goes by what is left. Default false. */
  readonly firm?: boolean;
}

/** A claim that was granted. */
export interface Grant {
  /** The claim as it was made. */
  readonly claim: Claim;
  /** Strictly above every fence that was given out for this key before. */
  readonly fence: bigint;
  /** The context's clock, read before the request that was granted left this process. */
  readonly sentAtMs: number;
  /**
   * For how long from `sentAtMs` the server keeps it at first, until it is renewed; when that is other than the ttl.
   * A grant may come with a hint, and then no request of ours has said for how long.
   */
  readonly leaseMs?: number;
  /** Whatever the backend needs to find the grant again; JSON, so that a handle can carry it. */
  readonly ticket?: unknown;
}

/** What is known of whoever is in the way. */
export interface Busy {
  /** The owner of one of the holders; absent when the key is kept free for somebody ahead in the line. */
  readonly holder?: string;
  /**
   * When asking again is worth while without a hint: the holder's remaining lease, or the time after which
   * somebody ahead in the line who shows no life is skipped.
   */
  readonly expiresInMs?: number;
  /** How many stand in the line before this claim, where the backend knows. */
  readonly ahead?: number;
}

/**
 * A claim that has to wait. With `queue`, it stands in the server's line until it is granted, abandoned, or
 * shows no life for longer than the backend allows; a claim that was dropped from the line joins its end
 * again by `retry()`.
 */
export interface Place {
  /** Who is in the way, by the last answer. */
  readonly busy: Busy;
  /**
   * Calls `wake` when asking again is worth while. It is a hint: spurious, late and lost are legal. Replaces
   * the callback given before. After a grant or an abandonment it is not called any more. To throw makes the
   * step that gave this place one of unknown outcome.
   */
  onHint(wake: () => void): void;
  /** Asks again, in one atomic server step, which is also the sign of life. */
  retry(): Promise<Grant | Place>;
  /**
   * The lock itself, once, when it came with the last hint; nothing is sent. It is what `retry` would resolve with then,
   * a turn earlier. Default: no hint brings a lock.
   */
  takeOver?(): Grant | undefined;
}

/** One holder of a key, as the server sees it. */
export interface HolderSnapshot {
  /** That of its claim; it begins with the identity of its service. */
  readonly owner: string;
  /** The permits that it took; 1 in the other modes. */
  readonly take: number;
  /** That of its grant. */
  readonly fence: bigint;
  /** Its remaining lease in milliseconds, or the rest of what `state` says. */
  readonly expiresInMs: number;
  /**
   * Absent while it has a lease. `lingering`: released, and kept busy until then. `delayed`: its lease ran out, and
   * its `lockDelay` keeps the key, or its share of it, closed until then.
   */
  readonly state?: 'lingering' | 'delayed';
}

/** The state of one key, as the server sees it. */
export interface LockSnapshot {
  /** With its prefix on the seam, without it from the service. */
  readonly key: string;
  /** That of the holders; without any, that of the first who waits. */
  readonly mode: LockMode;
  /** Permits that exist, by the smallest claim among the holders; 1 when exclusive, 0 when shared. */
  readonly of: number;
  /** In no order; empty when the key is kept for whoever waits first. */
  readonly holders: readonly HolderSnapshot[];
  /** How many stand in the server's line. One process is one waiter, however many callers wait in it. */
  readonly waiting: number;
}

/** The state of one server behind a backend. */
export interface NodeHealth {
  /** Where it is, without credentials. */
  readonly node: string;
  /** `primary`, `replica`, or another word of the backend's; `unknown` when it did not say. */
  readonly role: string;
  /** Whether it answered in time, and can do its part. */
  readonly state: 'up' | 'down';
  /**
   * True when the locks work without it: a replica, a Sentinel. Of all others, a majority has to be up. Default false.
   */
  readonly spare?: boolean;
  /** How long it took to answer, in milliseconds. */
  readonly latencyMs?: number;
  /** Of the server's software. */
  readonly version?: string;
  /** A sentence, when it is down. */
  readonly error?: string;
}

/** What a backend promises; the contract suite runs the lines that these admit. */
export interface BackendTraits {
  /** For messages and events, like 'redis'. */
  readonly name: string;
  /** Those that it can keep; a claim of any other is refused before it is sent. */
  readonly modes: readonly LockMode[];
  /** `strict`: fences always rise. `clocked`: they do, with the one exception that the backend documents. */
  readonly fence: 'strict' | 'clocked';
  /** `queue`: the server keeps the line and wakes its head. `notify`: it wakes anybody. `poll`: it wakes nobody. */
  readonly wakeUp: 'queue' | 'notify' | 'poll';
  /**
   * How often a waiting place is retried without a hint. In a queue this is its sign of life as well: a
   * backend drops a place that was silent for longer than three of these.
   */
  readonly pollMs: number;
  /** True when a server outside this process is behind it, so that calls can be lost. */
  readonly remote: boolean;
  /**
   * How long a key, or the share of it that was taken, stays closed after a lease ran out; not after a release, an
   * abandonment or an eviction. Only compatible claims come in meanwhile: readers beside a dead reader, permits beside
   * a dead one's. Default 0.
   */
  readonly lockDelayMs?: number;
}

/** What the core lends to a backend. */
export interface BackendContext {
  /** Where all times of the backend come from. */
  readonly clock: Clock;
  /** Who we are, for people: it is part of every owner. */
  readonly identity: string;
  /**
   * "Ask again": the connection came back, a session ended, a key was evicted. The core renews at once, all
   * leases or those of one owner, to find out, and inspects those that nobody renews; it believes nothing else.
   */
  doubt(owner?: string): void;
  /** Something went wrong that no caller will hear of. Never throws. */
  report(error: Error): void;
}

/**
 * THE SEAM: what a lock server has to be able to do. The core owns time, retries and order within the
 * process; a backend only carries out single steps. `nestjs-interlock/testing` has this contract as a suite.
 *
 * 1. A method is one server step. No retries, timers or logs in it.
 * 2. It rejects with a {@link BackendError} only, which says whether the step is `denied` or `unknown`. A
 *    method that never settles is legal: the core counts it as unknown after its own deadline.
 * 3. After an unknown outcome, `claim` or `retry` of the same owner finds its own grant: same fence, lease
 *    counted anew. After `abandon`, nothing of that owner remains, and a claim of its that arrives late is
 *    rejected as denied.
 * 4. `sentAtMs` is read before the request is sent: a lease is over at `sentAtMs + ttlMs` by the caller's
 *    clock at the latest, and not earlier by the server's.
 * 5. Fences strictly rise per key: over release, expiry, eviction and restart.
 * 6. A backend built on sessions sets the server's own time-out to the ttl as well.
 * 7. Server time decides expiry; the clocks of clients are never compared.
 */
export interface LockBackend {
  /** What it promises; they do not change. */
  readonly traits: BackendTraits;

  /**
   * Connects and checks the server, its version and its settings. Fails fast, in a sentence. Called once by each
   * service; and again after it failed or took too long, also while the one that takes too long is still on its way.
   * Each that succeeds is followed by a `stop`.
   */
  start(context: BackendContext): Promise<void>;

  /** One atomic step: the grant, or a place (in the line, with `queue`). Idempotent per owner. */
  claim(claim: Claim): Promise<Grant | Place>;

  /** Gives up the place, and anything granted to that owner, and wakes who comes next. Idempotent. */
  abandon(claim: Claim): Promise<void>;

  /**
   * Sets the remaining lease of each to its `claim.ttlMs`, and answers in the same order. `gone` is said only
   * by a server that knows; a single one that could not be asked is `unknown`, and the rejection of the whole
   * batch means that for all.
   */
  renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]>;

  /**
   * Signs of life of many waiting claims in one step, in place of a `retry` of each. True, in the same order, for
   * those that should ask again: the key may be free for them, or they have no place any more. Optional: without it
   * each place is retried every `pollMs`.
   */
  stay?(claims: readonly Claim[]): Promise<readonly boolean[]>;

  /**
   * Frees the key and wakes who comes next. Idempotent: repeated after an unknown outcome it says `released`
   * again where the backend can remember, else `gone`. `gone` is no error.
   *
   * @param lingerMs keep the key busy for that long still (`minHold`); 0 or absent: free it at once
   * @param followed true when the next caller of this process waits for the key, and is about to claim it in this same
   *   turn of the event loop: a backend may make one step of both
   */
  release(grant: Grant, lingerMs?: number, followed?: boolean): Promise<'released' | 'gone'>;

  /** The state of a key; null when nobody holds it and nobody waits. */
  inspect(key: string): Promise<LockSnapshot | null>;

  /**
   * The states of all keys that start with the (prefixed) `prefix`, in no order.
   *
   * Each step of the iteration has the time of one call, so it asks the server once or twice, however much there is to
   * look through: a step that has come upon nothing yet yields `undefined`, and the next one looks further.
   */
  list(prefix: string): AsyncIterable<LockSnapshot | undefined>;

  /** Takes the key from whoever holds it, and wakes who comes next. False when nobody held it. */
  evict(key: string): Promise<boolean>;

  /**
   * Every server behind it. Never rejects.
   *
   * @param limitMs how long it may take: a server that has not answered by then is down. Default 1,000
   */
  nodes(limitMs?: number): Promise<readonly NodeHealth[]>;

  /** Closes what it opened itself; a client that was handed in stays open. Idempotent. */
  stop(): Promise<void>;
}

/** What a server says to a renewal: done; not that owner's any more; or it cannot tell. */
export type RenewOutcome = 'renewed' | 'gone' | 'unknown';

/** Tells a grant from a place. */
export function isGrant(answer: Grant | Place): answer is Grant {
  return 'fence' in answer;
}
