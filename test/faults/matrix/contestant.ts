/** A lock that somebody holds, whoever made the library. */
export interface HeldLock {
  /** Undefined where the library has none. */
  readonly fence: bigint | undefined;
  /** Whether its holder may still believe in it: what the library says when it is asked. */
  isHeld(): boolean;
  onLost(told: (reason: string) => void): void;
  /** False when it was lost before. */
  release(): Promise<boolean>;
}

export interface Wish {
  readonly key: string;
  readonly ttlMs: number;
  readonly waitMs: number;
  readonly signal: AbortSignal;
  /** Another lock service of the application. */
  readonly service?: string | undefined;
}

/** Where the leadership of a group is kept. */
export function leaderKeyOf(group: string): string {
  return `leader:${group}`;
}

/** A lock library in an application, as an actor uses it. */
export interface Contestant {
  acquire(wish: Wish): Promise<HeldLock>;
  /** Stands for election in the group of that name, with the settings that nobody made, until it leads. */
  lead?(wish: Pick<Wish, 'key' | 'signal'>): Promise<HeldLock>;
  /** Runs the body under the lock, and gives back what it gave. */
  guard?<T>(wish: Omit<Wish, 'signal'>, body: () => Promise<T>): Promise<T>;
  /** Undefined where that cannot be asked. */
  inspect?(key: string): Promise<KeyState>;
  /** What it counts of itself. */
  gauges(): Readonly<Record<string, number>>;
  close(): Promise<void>;
}

/** What the server says of a key. */
export interface KeyState {
  /** By identity. */
  readonly holder?: string | undefined;
  /** Places in its line. */
  readonly waiting: number;
}

/** How an actor reaches its locks. Passed on as JSON. */
export interface ActorPlan {
  readonly name: string;
  readonly library: string;
  readonly prefix: string;
  /** Which backend, and what it is made with. */
  readonly backend: { readonly kind: string; readonly target?: unknown };
  /** What a second lock service of the same application, `careful`, is made with. */
  readonly careful?: { readonly kind: string; readonly target?: unknown };
  readonly resourcePort: number;
  /** A bug that is planted before the library is loaded. */
  readonly mutant?: string | undefined;
}

export const CALL_TIMEOUT_MS = 300;
/** Of all guarded work. */
export const RESULT = 'the result';
