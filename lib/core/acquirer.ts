import type { Claim, Grant, LockBackend } from '../backends/lock-backend.js';
import { Chain } from './chain.js';
import { claimOf, OwnerMint } from './claim.js';
import { Contender, type Arena, type Verdict } from './contender.js';
import { holdInScope } from './context.js';
import { Debts } from './debts.js';
import type { Duration } from './duration.js';
import { LockError, LockUnavailableError } from './errors.js';
import type { LockEvents } from './events.js';
import { packHandle, type HandlePart } from './handle.js';
import { deadlineOf, Hold } from './hold.js';
import { Keeper } from './keeper.js';
import { HeldLease, type LeaseHost } from './lease.js';
import { Line } from './line.js';
import { ttlMsOf, type Terms } from './options.js';
import { Calls, outcomeOf } from './outcome.js';
import type { Refusal } from './refusal.js';
import { Releaser } from './releaser.js';
import type { ResolvedSettings } from './settings.js';

/** A refused caller waits no longer than this for the keys that it got first to be given back. */
const ROLLBACK_MS = 40;

/** Turns wishes into leases, and looks after them until they end. */
export class Acquirer implements LeaseHost {
  private readonly lines = new Map<string, Line>();
  private readonly owners: OwnerMint;
  private readonly calls: Calls;
  private readonly keeper: Keeper;
  private readonly debts: Debts;
  private readonly releaser: Releaser;
  private readonly arena: Arena;
  private state: 'new' | 'open' | 'closed' = 'new';

  /** @param service whose scopes these leases open, for re-entry */
  constructor(
    backend: LockBackend,
    private readonly settings: ResolvedSettings,
    private readonly events: LockEvents,
    private readonly service: object,
  ) {
    const { clock, callTimeoutMs, identity } = settings;
    this.owners = new OwnerMint(identity);
    this.calls = new Calls(clock, callTimeoutMs);
    this.debts = new Debts(clock, this.calls, events);
    this.keeper = new Keeper(clock, backend, this.calls, callTimeoutMs, (hold) => this.onLost(hold));
    this.releaser = new Releaser(backend, clock, this.calls, this.keeper, this.debts, events, callTimeoutMs);
    this.arena = {
      clock,
      backend,
      calls: this.calls,
      callTimeoutMs,
      contenders: new Chain(),
      abandon: (name, claim) => this.debts.owe(name, claim.ttlMs, () => backend.abandon(claim)),
      waits: (name) => events.observed && events.emit({ type: 'waiting', key: name }),
    };
  }

  get isOpen(): boolean {
    return this.state === 'open';
  }

  get gauges(): { readonly held: number; readonly waiting: number; readonly owed: number } {
    let waiting = 0;
    for (const line of this.lines.values()) waiting += line.size;
    return { held: this.keeper.size, waiting, owed: this.debts.size };
  }

  open(): void {
    if (this.state === 'new') this.state = 'open';
  }

  /** Rejects the waiters, gives back what is held, and pays what is owed; bounded. */
  async close(): Promise<void> {
    const { clock, shutdownTimeoutMs } = this.settings;
    const endMs = clock.now() + shutdownTimeoutMs;
    this.state = 'closed';
    // from the back, else each would send a claim as it moves up
    for (const contender of this.arena.contenders.toArray().reverse()) contender.close();
    await Promise.all(this.keeper.all.map((hold) => this.releaser.revoke(hold)));
    this.keeper.stop();
    await outcomeOf(clock, Math.max(0, endMs - clock.now()), () => this.releaser.settled());
    await this.debts.drain(Math.max(0, endMs - clock.now()));
    this.calls.stop();
  }

  /**
   * Acquires all keys in the order of the map, or none.
   *
   * @param names the keys as their caller wrote them, by canonical key
   */
  async obtain(names: ReadonlyMap<string, string>, terms: Terms): Promise<HeldLease | Refusal> {
    const { clock } = this.settings;
    const startMs = clock.now();
    const holds: Hold[] = [];
    try {
      for (const [key, name] of names) {
        let hold = terms.reentrant ? this.reenter(key, terms) : undefined;
        if (!hold) {
          const verdict = await this.contend(key, name, terms, holds.length > 0 ? startMs : undefined);
          if (verdict.kind !== 'granted') {
            return await this.refuse(holds, { name, waitedMs: clock.now() - startMs, verdict });
          }
          hold = this.hold(name, verdict.grant, terms, verdict.uncertain, startMs);
        }
        holds.push(hold);
        // else it was granted while the service closed, and nobody would look after it
        if (this.state === 'closed')
          return await this.refuse(holds, { name, waitedMs: 0, verdict: { kind: 'closed' } });
      }
      const lost = holds.length > 1 ? this.lostOf(holds) : undefined;
      if (lost) return await this.refuse(holds, { ...lost, waitedMs: clock.now() - startMs });
    } catch (error) {
      await this.rollBack(holds);
      throw error;
    }
    return new HeldLease(this, holds as [Hold, ...Hold[]]);
  }

  /**
   * A lease on locks that were renewed, by a request sent at `sentAtMs`, for the owners of a handle. Undefined when
   * the answer came too late: nobody would look after it, or not in time.
   */
  adopt(
    parts: readonly [HandlePart, ...HandlePart[]],
    sentAtMs: number,
    terms: Terms,
  ): HeldLease | undefined {
    const nowMs = this.settings.clock.now();
    const isOver = parts.some(({ grant }) => nowMs >= deadlineOf(sentAtMs, grant.claim.ttlMs));
    if (isOver || this.state === 'closed') return undefined;
    const holds = parts.map(({ name, grant }) => {
      this.lineOf(grant.claim.key).granted();
      // the handle does not tell whether a claim of that owner is still on its way
      return this.hold(name, { ...grant, sentAtMs }, terms, true, sentAtMs);
    });
    return new HeldLease(this, holds as [Hold, ...Hold[]]);
  }

  /** Finds out at once whether the holds of these claims are still ours. */
  doubt(suspect: (claim: Claim) => boolean): void {
    this.keeper.doubt((hold) => suspect(hold.grant.claim));
  }

  releaseAll(holds: readonly Hold[]): Promise<boolean> {
    return this.releaser.releaseAll(holds);
  }

  async extendAll(holds: readonly Hold[], ttl: Duration): Promise<void> {
    const ttlMs = ttlMsOf(ttl);
    for (const hold of holds) await this.extend(hold, ttlMs);
  }

  releaseFailed(key: string, error: unknown): void {
    this.events.alert({
      type: 'release-failed',
      key,
      error: error instanceof Error ? error : new Error(String(error)),
    });
  }

  handleOf(holds: readonly Hold[]): string {
    for (const hold of holds) hold.handedOver ||= !hold.renews;
    return packHandle(holds);
  }

  overdue(hold: Hold): void {
    this.keeper.lose(hold, 'silent');
  }

  private async extend(hold: Hold, ttlMs: number): Promise<void> {
    if (await this.keeper.extend(hold, ttlMs)) return;
    if (hold.loss) throw hold.loss;
    if (hold.state === 'released')
      throw new LockError(`The lock "${hold.name}" was released meanwhile.`, { key: hold.name });
    throw new LockUnavailableError(
      `The lock server did not confirm the extension of "${hold.name}"; the lease goes on by the shorter of the old and the new ttl. Try again.`,
      { key: hold.name },
    );
  }

  /** Several keys have one wait in common, which began at `startMs`. */
  private contend(key: string, name: string, terms: Terms, startMs?: number): Promise<Verdict> {
    if (this.state !== 'open') return Promise.resolve({ kind: 'closed' });
    const { signal } = terms;
    if (signal?.aborted) return Promise.resolve({ kind: 'aborted', reason: signal.reason as unknown });
    const nowMs = this.settings.clock.now();
    // never 0 for a wait that is used up: that would be a single try, which may take as long as any call
    const leftMs = (startMs ?? nowMs) + terms.waitMs - nowMs;
    const waitMs = terms.waitMs === 0 ? 0 : leftMs || -1;
    const claim = claimOf(key, this.owners.next(), terms, waitMs > 0);
    return new Contender(this.arena, this.lineOf(key), name, claim, nowMs, waitMs, signal).run();
  }

  private lineOf(key: string): Line {
    let line = this.lines.get(key);
    if (!line) {
      line = new Line(key, this.lines);
      this.lines.set(key, line);
    }
    return line;
  }

  private hold(name: string, grant: Grant, terms: Terms, uncertain: boolean, startMs: number): Hold {
    const line = this.lineOf(grant.claim.key);
    const hold = new Hold(name, grant, terms.renew, terms.minHoldMs, this.settings.clock, line);
    hold.uncertain = uncertain;
    this.keeper.add(hold);
    if (this.events.observed) {
      const waitedMs = this.settings.clock.now() - startMs;
      this.events.emit({ type: 'acquired', key: name, fence: grant.fence, waitedMs });
    }
    return hold;
  }

  /** A share of the lock that the scope around the caller holds; undefined when it holds none on this key. */
  private reenter(key: string, terms: Terms): Hold | undefined {
    const hold = holdInScope(this.service, key);
    if (!hold) return undefined;
    if (hold.state === 'held' && hold.expired) this.overdue(hold);
    if (hold.loss) throw hold.loss;
    const { mode, take, of } = hold.grant.claim;
    const covers =
      mode === 'exclusive' ||
      (mode === terms.mode && (mode === 'shared' || (terms.take <= take && terms.of === of)));
    if (!covers) {
      throw new LockError(
        `"${hold.name}" is held ${mode} around this call, and asking for it ${terms.mode} in there would wait for itself for ever. Take the stronger lock first, or ask outside of it.`,
        { key: hold.name },
      );
    }
    hold.shares++;
    if (this.events.observed)
      this.events.emit({ type: 'reentered', key: hold.name, fence: hold.grant.fence });
    return hold;
  }

  /** The first that was lost while the others were waited for. */
  private lostOf(holds: readonly Hold[]): Pick<Refusal, 'name' | 'verdict'> | undefined {
    for (const hold of holds) {
      if (hold.state === 'held' && hold.expired) this.overdue(hold);
      const { name, loss } = hold;
      if (loss) return { name, verdict: { kind: 'unavailable', certainty: 'denied', error: loss } };
    }
    return undefined;
  }

  private async refuse(holds: readonly Hold[], refusal: Refusal): Promise<Refusal> {
    await this.rollBack(holds);
    if (!this.events.observed) return refusal;
    const { name: key, waitedMs, verdict } = refusal;
    if (verdict.kind === 'busy') {
      const { holder } = verdict.busy;
      this.events.emit({ type: 'busy', key, waitedMs, ...(holder === undefined ? {} : { holder }) });
    } else if (verdict.kind === 'unavailable') {
      this.events.emit({ type: 'unavailable', key, error: verdict.error });
    }
    return refusal;
  }

  private async rollBack(holds: readonly Hold[]): Promise<void> {
    if (holds.length === 0) return;
    await this.calls.outcome(() => this.releaser.releaseAll(holds), ROLLBACK_MS);
  }

  private onLost(hold: Hold): void {
    hold.end();
    const { loss, grant } = hold;
    if (loss) {
      this.events.alert({ type: 'lost', key: hold.name, fence: grant.fence, reason: loss.reason });
    }
    // silence proves nothing: the server may keep it for us still; and it should, for whoever has the handle
    if (loss?.reason === 'silent' && !hold.handedOver) this.releaser.oweAbandon(hold);
  }
}
