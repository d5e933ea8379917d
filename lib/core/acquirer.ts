import type { Claim, LockBackend } from '../backends/lock-backend.js';
import { Chain } from './chain.js';
import { claimOf, OwnerMint } from './claim.js';
import { Contender, type Arena, type Granted } from './contender.js';
import { holdInScope } from './context.js';
import { Debts } from './debts.js';
import type { Duration } from './duration.js';
import { asError, LockError, LockUnavailableError } from './errors.js';
import type { LockEvents } from './events.js';
import { packHandle, type HandlePart } from './handle.js';
import { deadlineOf, Hold, subjectOf } from './hold.js';
import { Keeper } from './keeper.js';
import type { NamedKey } from './key.js';
import { HeldLease, type LeaseHost } from './lease.js';
import type { Census } from './census.js';
import { censusOf } from './census.js';
import { Lines, type Line } from './line.js';
import { ttlMsOf, type Terms } from './options.js';
import { Calls, outcomeOf } from './outcome.js';
import type { Refusal } from './refusal.js';
import { Releaser } from './releaser.js';
import { RollCall } from './roll-call.js';
import type { ResolvedSettings } from './settings.js';

/** A refused caller waits no longer than this for the keys that it got first to be given back. */
const ROLLBACK_MS = 40;

/** Turns wishes into leases, and looks after them until they end. */
export class Acquirer implements LeaseHost {
  private readonly lines: Lines;
  private readonly owners: OwnerMint;
  private readonly calls: Calls;
  private readonly keeper: Keeper;
  private readonly debts: Debts;
  private readonly releaser: Releaser;
  private readonly arena: Arena;
  /** A holder that lost its lease to silence may be at work still: the lockDelay is for that, so nobody opens the key. */
  private readonly delaysAfterDeath: boolean;
  private state: 'new' | 'open' | 'closed' = 'new';

  /** @param service whose scopes these leases open, for re-entry */
  constructor(
    backend: LockBackend,
    private readonly settings: ResolvedSettings,
    private readonly events: LockEvents,
    private readonly service: object,
  ) {
    this.delaysAfterDeath = (backend.traits.lockDelayMs ?? 0) > 0;
    const { clock, callTimeoutMs, identity, prefix } = settings;
    this.lines = new Lines((key, waiting) =>
      events.alert({ type: 'crowded', key: key.slice(prefix.length + 1), waiting }),
    );
    this.owners = new OwnerMint(identity);
    this.calls = new Calls(clock, callTimeoutMs);
    this.debts = new Debts(clock, this.calls, events);
    this.keeper = new Keeper(
      clock,
      backend,
      this.calls,
      callTimeoutMs,
      (hold) => this.onLost(hold),
      (event) => events.alert(event),
    );
    this.releaser = new Releaser(backend, clock, this.calls, this.keeper, this.debts, events, callTimeoutMs);
    this.arena = {
      clock,
      backend,
      calls: this.calls,
      callTimeoutMs,
      contenders: new Chain(),
      rollCall: new RollCall(clock, backend, this.calls),
      abandon: (name, claim) => this.debts.owe(name, claim.ttlMs, () => backend.abandon(claim)),
      waits: (key, { mode }, pattern) => {
        if (events.observed) events.emit({ type: 'waiting', key, mode, pattern });
      },
    };
  }

  get isOpen(): boolean {
    return this.state === 'open';
  }

  get gauges(): { readonly held: number; readonly waiting: number; readonly owed: number } {
    const { keeper, lines, debts, releaser } = this;
    return { held: keeper.size, waiting: lines.waiting, owed: debts.size + releaser.insisting };
  }

  /** What the gauges count, by mode and pattern. */
  get census(): readonly Census[] {
    return censusOf(this.keeper.all, this.arena.contenders.toArray());
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
    this.arena.rollCall.stop();
    await Promise.all(this.keeper.all.map((hold) => this.releaser.revoke(hold)));
    this.keeper.stop();
    await outcomeOf(clock, Math.max(0, endMs - clock.now()), () => this.releaser.settled());
    await this.debts.drain(Math.max(0, endMs - clock.now()));
    this.calls.stop();
  }

  /** Acquires all keys in their order, or none. */
  obtain(wanted: readonly [NamedKey, ...NamedKey[]], terms: Terms): Promise<HeldLease | Refusal> {
    return wanted.length === 1 ? this.obtainOne(wanted[0], terms) : this.obtainAll(wanted, terms);
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
      const line = this.lines.of(grant.claim.key);
      line.granted();
      // the handle does not tell whether a claim of that owner is still on its way
      const granted: Granted = { kind: 'granted', grant: { ...grant, sentAtMs }, uncertain: true };
      return this.hold(name, line, granted, terms, sentAtMs);
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
      error: asError(error),
    });
  }

  handleOf(holds: readonly Hold[]): string {
    for (const hold of holds) hold.handedOver ||= !hold.renews;
    return packHandle(holds);
  }

  overdue(hold: Hold): void {
    this.keeper.lose(hold, 'silent');
  }

  /** What {@link obtainAll} does, without what one key has no need of: nearly all have one. */
  private obtainOne(wanted: NamedKey, terms: Terms): Promise<HeldLease | Refusal> {
    const startMs = this.settings.clock.now();
    return new Promise((resolve) => {
      this.take(wanted, terms, startMs, startMs, (result) => {
        resolve(result instanceof Hold ? new HeldLease(this, [result]) : this.refuse([], result, terms));
      });
    });
  }

  private async obtainAll(
    wanted: readonly [NamedKey, ...NamedKey[]],
    terms: Terms,
  ): Promise<HeldLease | Refusal> {
    const { clock } = this.settings;
    const startMs = clock.now();
    const holds: Hold[] = [];
    try {
      for (const one of wanted) {
        const result = await new Promise<Hold | Refusal>((resolve) => {
          this.take(one, terms, startMs, clock.now(), resolve);
        });
        if (!(result instanceof Hold)) return await this.refuse(holds, result, terms);
        holds.push(result);
      }
      // else they were granted while the service closed
      if (this.state === 'closed') {
        const [{ name }] = wanted;
        return await this.refuse(holds, { name, waitedMs: 0, verdict: { kind: 'closed' } }, terms);
      }
      const lost = this.lostOf(holds);
      if (lost) return await this.refuse(holds, { ...lost, waitedMs: clock.now() - startMs }, terms);
    } catch (error) {
      await this.rollBack(holds);
      throw error;
    }
    return new HeldLease(this, holds as [Hold, ...Hold[]]);
  }

  /**
   * One key: a share of the hold around the caller, or a new hold, or why there is none.
   *
   * @param startMs when the wait began, which several keys have in common
   * @throws LockLostError, LockError when the hold around the caller cannot be shared
   */
  private take(
    wanted: NamedKey,
    terms: Terms,
    startMs: number,
    nowMs: number,
    done: (result: Hold | Refusal) => void,
  ): void {
    const { key, name } = wanted;
    const shared = terms.reentrant ? this.reenter(key, terms) : undefined;
    if (shared) return done(shared);
    const obstacle = this.obstacle(terms);
    if (obstacle) return done({ name, waitedMs: nowMs - startMs, verdict: obstacle });
    const line = this.lines.of(key);
    // never 0 for a wait that is used up: that would be a single try, which may take as long as any call
    const waitMs = terms.waitMs === 0 ? 0 : startMs + terms.waitMs - nowMs || -1;
    const claim = claimOf(key, this.owners.next(terms.identity), terms, waitMs > 0);
    new Contender(this.arena, line, name, terms.pattern, claim, nowMs, waitMs, terms.signal, (verdict) => {
      if (verdict.kind === 'granted') {
        const hold = this.hold(name, line, verdict, terms, startMs);
        // an earlier claim that arrives yet sets the server's lease back to its own ttl
        if (verdict.uncertain) hold.stragglerTtlMs = claim.ttlMs;
        done(hold);
      } else done({ name, waitedMs: this.settings.clock.now() - startMs, verdict });
    }).start();
  }

  /** Why nothing is even asked for. */
  private obstacle({ signal }: Terms): Refusal['verdict'] | undefined {
    if (this.state !== 'open') return { kind: 'closed' };
    return signal?.aborted ? { kind: 'aborted', reason: signal.reason as unknown } : undefined;
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

  private hold(name: string, line: Line, { grant, uncertain }: Granted, terms: Terms, startMs: number): Hold {
    const hold = new Hold(name, grant, terms.renew, terms.minHoldMs, this.settings.clock, line);
    hold.uncertain = uncertain;
    hold.pattern = terms.pattern;
    hold.isKnownToLast = terms.lasting === true;
    this.keeper.add(hold);
    if (this.events.observed) {
      const waitedMs = this.settings.clock.now() - startMs;
      this.events.emit({ type: 'acquired', ...subjectOf(hold), waitedMs });
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
    if (this.events.observed) this.events.emit({ type: 'reentered', ...subjectOf(hold) });
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

  /** Never at once: whoever listens may lock again, and must not do so in the middle of a line that moves up. */
  private async refuse(holds: readonly Hold[], refusal: Refusal, { mode, pattern }: Terms): Promise<Refusal> {
    await this.rollBack(holds);
    if (!this.events.observed) return refusal;
    const { name: key, waitedMs, verdict } = refusal;
    if (verdict.kind === 'busy') {
      const { holder } = verdict.busy;
      this.events.emit({
        type: 'busy',
        key,
        mode,
        pattern,
        waitedMs,
        ...(holder === undefined ? {} : { holder }),
      });
    } else if (verdict.kind === 'unavailable') {
      const { certainty, error } = verdict;
      this.events.emit({ type: 'unavailable', key, mode, pattern, certainty, error });
    }
    return refusal;
  }

  private async rollBack(holds: readonly Hold[]): Promise<void> {
    if (holds.length === 0) return;
    await this.calls.outcome(() => this.releaser.releaseAll(holds), ROLLBACK_MS);
  }

  private onLost(hold: Hold): void {
    hold.end();
    const { loss } = hold;
    if (loss) {
      const heldMs = this.settings.clock.now() - hold.sinceMs;
      this.events.alert({ type: 'lost', ...subjectOf(hold), reason: loss.reason, heldMs });
    }
    // silence proves nothing: the server may keep it for us still; and it should, for whoever has the handle
    const mayBeOurs = loss?.reason === 'silent' || (loss?.reason === 'gone' && hold.uncertain);
    if (mayBeOurs && !hold.handedOver && !this.delaysAfterDeath) this.releaser.oweAbandon(hold);
  }
}
