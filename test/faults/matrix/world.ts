import type { Letter } from './fault-table.js';
import type { Road } from './road.js';

/** Something that the server says instead of doing what it is asked. */
export interface Denial {
  readonly name: string;
  /** What the caller is told; undefined: nothing, it is repaired in silence. */
  readonly error?: RegExp;
  /** A release works all the same. */
  readonly releases?: boolean;
  begin(): Promise<void>;
  end(): Promise<void>;
}

/** What can be done to the servers of a world; how, is the business of the world. `nth` chooses among several ways. */
export interface Servers {
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Killed as in a crash, and back after `downMs` with all that it had acknowledged. */
  crash(key: string, downMs: number): Promise<void>;
  /** Forgets the lock, or all of them. */
  wipe(key: string, nth: number): Promise<void>;
  /** Breaks the connections of all clients, from its side. */
  disconnectAll(): Promise<void>;
  /** Answers nobody for so long; resolves when that is over. */
  keepBusy(key: string, ms: number, nth: number): Promise<void>;
  readonly denials: readonly Denial[];
  /** Sets the time of day of the servers so far off. */
  leap?(ms: number): Promise<void>;
  /** Begins to evict locks where memory runs short, and runs short; `ready` runs in between. */
  evict?(ready: () => Promise<void>): Promise<void>;
  /** Where another server takes over: one way of doing it. Says whether locks may be in two hands by it. */
  failOver?(key: string, nth: number): Promise<void>;
  /** For one more actor, by way of a pooler that hands each transaction to another connection. */
  pooledRoad?(): Promise<Road>;
  /** For one more actor, with messages over connections of their own, where there is another way as well. */
  messagesApart?(): Promise<Road>;
  /** Requests that were carried out for locks since the start. */
  requests(): Promise<number>;
}

/** Real servers, and all that is needed to reach them, to harm them, and to see what is left on them. */
export interface World {
  readonly letter: Letter;
  /** By which the actors make their backend. */
  readonly kind: string;
  /** For one more actor. */
  road(): Promise<Road>;
  /** Contenders of one process are all that there is. */
  readonly isOneProcess: boolean;
  readonly servers: Servers;
  /** Nobody tells who waits of its turn: it asks. */
  readonly isPolled: boolean;
  /** So many an actor may have, some of them made when they are first needed. */
  readonly connections: number;
  /** How many timers these have while nothing is asked, at most. */
  readonly idleTimers: number;
  /** Of the processes that the locks depend on. */
  pids(): readonly number[];
  /** What is kept for locks whose keys contain this, apart from the memory of fences and of what was abandoned. */
  leftovers(stem: string): Promise<string[]>;
  /** Resolves when all servers are in their places again. */
  heal(): Promise<void>;
  stop(): Promise<void>;
}
