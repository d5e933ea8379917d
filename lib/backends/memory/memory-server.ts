import type { Clock } from '../../core/clock.js';
import { BackendError } from '../backend-error.js';
import { abandoned, assertPossible } from '../denied-claim.js';
import type { Busy, Claim, Grant, LockSnapshot, RenewOutcome } from '../lock-backend.js';
import { Departed } from './departed.js';
import { Ear } from './ear.js';
import { Lock, type Holder, type Waiter } from './lock.js';

/** How many other keys each claim looks at, so that what expired unseen does not stay for ever. */
const SWEPT_BY_CLAIM = 2;

/** Who is told about what happens in a server. */
export interface MemoryClient {
  doubt(owner: string): void;
  report(error: Error): void;
}

/** What came of a claim: the lease, or what is in the way and, in the line, the place. */
export type Answer = Holder | { readonly busy: Busy; readonly waiter?: Waiter };

/**
 * A lock server inside the process: all state, and the steps on it. A step is synchronous, hence atomic.
 *
 * Share one between several `memory({ server })` to have several independent services, replicas in a test for
 * example, that exclude each other.
 */
export class MemoryServer {
  private readonly locks = new Map<string, Lock>();
  private sweeper = this.locks.values();
  private readonly departed = new Departed();
  private readonly clients = new Set<MemoryClient>();
  /** One counter for all keys: it rises for each of them, and nothing has to be remembered for a free one. */
  private lastFence = 0n;
  private clock: Clock | undefined;

  /**
   * @param options.clock the server's time; default: the clock of the first service that starts with it
   */
  constructor(options: { readonly clock?: Clock } = {}) {
    this.clock = options.clock;
  }

  /** How many keys are held or waited for, and how many owners are remembered. */
  get size(): { readonly keys: number; readonly marks: number } {
    return { keys: this.locks.size, marks: this.departed.size };
  }

  /** @internal */
  connect(client: MemoryClient, clock: Clock): void {
    this.clock ??= clock;
    this.clients.add(client);
  }

  /** @internal */
  disconnect(client: MemoryClient): void {
    this.clients.delete(client);
  }

  /** @internal */
  claim(claim: Claim, delayMs: number, ear?: Ear): Answer {
    const nowMs = this.now();
    if (this.departed.hasAbandoned(claim, nowMs)) throw abandoned(claim);
    assertPossible(claim);
    this.sweep(nowMs);
    const lock = this.find(claim.key, nowMs) ?? new Lock(claim.key);
    const held = lock.heldBy(claim.owner, nowMs);
    if (held) {
      lock.keepUntil(held, nowMs + claim.ttlMs);
      return held;
    }
    // a lease of its own that ran out: the lockDelay is for it as well
    if (!lock.holders.has(claim.owner) && lock.admits(claim)) {
      this.locks.set(claim.key, lock);
      return lock.enter(claim, ++this.lastFence, delayMs, nowMs);
    }
    if (!claim.queue) return { busy: lock.busy(claim, nowMs) };
    const waiter = lock.standInLine(claim, ear ?? new Ear((error) => this.report(error)), nowMs);
    return { busy: lock.busy(claim, nowMs), waiter };
  }

  /**
   * A sign of life; true when the claim should ask again.
   *
   * @internal
   */
  stay(claim: Claim): boolean {
    const nowMs = this.now();
    return this.find(claim.key, nowMs)?.stay(claim, nowMs) ?? true;
  }

  /** @internal */
  abandon(claim: Claim): void {
    const nowMs = this.now();
    this.departed.markAbandoned(claim, nowMs);
    const lock = this.find(claim.key, nowMs);
    if (!lock) return;
    lock.leaveLine(claim.owner);
    const held = lock.heldBy(claim.owner, nowMs);
    if (held) lock.leave([held]);
    this.forgetIfIdle(lock);
  }

  /** @internal */
  renew({ claim }: Grant): RenewOutcome {
    const nowMs = this.now();
    const lock = this.find(claim.key, nowMs);
    const held = lock?.heldBy(claim.owner, nowMs);
    if (!lock || !held) return 'gone';
    lock.keepUntil(held, nowMs + claim.ttlMs);
    return 'renewed';
  }

  /** @internal */
  release({ claim }: Grant, lingerMs: number): 'released' | 'gone' {
    const nowMs = this.now();
    const lock = this.find(claim.key, nowMs);
    const held = lock?.heldBy(claim.owner, nowMs);
    if (!lock || !held) return this.departed.hasReleased(claim, nowMs) ? 'released' : 'gone';
    this.departed.markReleased(claim, nowMs);
    if (lingerMs > 0) {
      held.lingering = true;
      lock.keepUntil(held, nowMs + lingerMs);
    } else {
      lock.leave([held]);
      this.forgetIfIdle(lock);
    }
    return 'released';
  }

  /** @internal */
  evict(key: string): boolean {
    const lock = this.find(key, this.now());
    if (!lock || lock.holders.size === 0) return false;
    const holders = [...lock.holders.values()];
    lock.leave(holders);
    this.forgetIfIdle(lock);
    for (const { claim, lingering } of holders) if (!lingering) this.doubt(claim.owner);
    return true;
  }

  /** @internal */
  inspect(key: string): LockSnapshot | null {
    const nowMs = this.now();
    return this.find(key, nowMs)?.snapshot(nowMs) ?? null;
  }

  /** @internal */
  keys(prefix: string): string[] {
    return [...this.locks.keys()].filter((key) => key.startsWith(prefix));
  }

  /** @internal */
  report(error: Error): void {
    for (const client of this.clients) client.report(error);
  }

  private now(): number {
    if (!this.clock)
      throw new BackendError('The memory server has no clock yet: no service has started.', 'denied');
    return this.clock.now();
  }

  /** The state of a key as of now; undefined when it is free. */
  private find(key: string, nowMs: number): Lock | undefined {
    const lock = this.locks.get(key);
    if (!lock) return undefined;
    lock.purge(nowMs);
    return this.forgetIfIdle(lock) ? undefined : lock;
  }

  private forgetIfIdle(lock: Lock): boolean {
    if (lock.idle) this.locks.delete(lock.key);
    return lock.idle;
  }

  private sweep(nowMs: number): void {
    for (let looked = 0; looked < SWEPT_BY_CLAIM; looked++) {
      const { value: lock, done } = this.sweeper.next();
      if (done) {
        this.sweeper = this.locks.values();
        return;
      }
      lock.purge(nowMs);
      this.forgetIfIdle(lock);
    }
  }

  private doubt(owner: string): void {
    queueMicrotask(() => {
      for (const client of this.clients) client.doubt(owner);
    });
  }
}
