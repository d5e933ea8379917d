import type { Observable } from 'rxjs';
import type { LockBackend, LockSnapshot } from '../backends/lock-backend.js';
import { unlessAborted } from './abort.js';
import type { Census } from './census.js';
import { Acquirer } from './acquirer.js';
import { assertRenewed, assertSamePrefix } from './adoption.js';
import { BackendLife } from './backend-life.js';
import { currentScope, runInScope, type Scope } from './context.js';
import { asError, LockConfigurationError, LockError, LockUnavailableError } from './errors.js';
import { LockEvents, type LockEvent, type LockMessage } from './events.js';
import { unpackHandle } from './handle.js';
import { Health, type HealthOptions, type LockHealth } from './health.js';
import { answersOf } from './keeper.js';
import { canonicalKey, canonicalKeys, type Keys, type NamedKey } from './key.js';
import { HeldLease, lossOf, type Lease } from './lease.js';
import { NodeWatch } from './node-watch.js';
import { termsOf, type GuardOptions, type LockOptions, type Terms } from './options.js';
import { outcomeOf } from './outcome.js';
import { errorOf, type Refusal } from './refusal.js';
import { settingsOf, type LockSettings, type ResolvedSettings } from './settings.js';
import type { LockTracer } from './tracer.js';

/** What a health check leaves behind, should its release be lost, is gone after that. */
const PROBE_TTL_MS = 10_000;

/**
 * The locks of one service: the verbs, without Nest. It owns time, order within the process, retries and
 * clean-up; the backend only carries out single steps.
 */
export class Locks {
  /** What happens to these locks, as it happens. */
  readonly events$: Observable<LockEvent>;

  protected readonly settings: ResolvedSettings;
  protected readonly events = new LockEvents();
  private readonly acquirer: Acquirer;
  private readonly usualTerms: Terms;
  private readonly healthChecks: Health;
  private readonly nodes: NodeWatch;
  private readonly life: BackendLife;
  private tracer: LockTracer | undefined;

  /** @throws LockConfigurationError when a setting is wrong */
  constructor(
    protected readonly backend: LockBackend,
    settings: LockSettings = {},
    private readonly name?: string,
  ) {
    this.settings = settingsOf(settings);
    this.events$ = this.events.stream;
    this.usualTerms = termsOf(undefined, this.settings);
    this.acquirer = new Acquirer(backend, this.settings, this.events, this);
    this.events.origin = this.about;
    this.nodes = new NodeWatch(this.events, this.settings.clock, () => this.health());
    this.healthChecks = new Health({
      clock: this.settings.clock,
      backend,
      obstacle: () => this.life.obstacle,
      tryLock: () => this.tryLock(),
      seen: (found) => this.nodes.see(found),
    });
    this.life = this.lifeOf(backend);
  }

  /**
   * How many locks this process holds, how many of its callers wait, how many clean-ups are owed: releases that the server
   * did not confirm at once among them.
   */
  get gauges(): { readonly held: number; readonly waiting: number; readonly owed: number } {
    return this.acquirer.gauges;
  }

  /** What `gauges` counts, by mode and pattern; whatever is neither held nor waited for is left out. */
  get census(): readonly Census[] {
    return this.acquirer.census;
  }

  /**
   * Acquires one key, or several at once.
   *
   * @throws LockTimeoutError when a key was not free within `wait`
   * @throws LockUnavailableError when the lock server did not answer, or refused
   * @throws LockKeyError, LockConfigurationError before anything is sent, when the call is wrong
   * @throws the reason of `options.signal` when it aborts
   */
  acquire(keys: Keys, options?: LockOptions): Promise<Lease> {
    try {
      return this.obtain(keys, this.terms(options)).then(leaseOf);
    } catch (error) {
      const wrongCall = error as Error;
      return Promise.reject(wrongCall);
    }
  }

  /**
   * Acquires one key, or several at once, if they are free; one try, no waiting.
   *
   * @returns null when a key is held by somebody else
   * @throws like {@link acquire}, but for LockTimeoutError
   */
  async tryAcquire(keys: Keys, options?: Omit<LockOptions, 'wait'>): Promise<Lease | null> {
    if (options !== undefined && 'wait' in options) {
      throw new LockConfigurationError('tryAcquire never waits, so it has no option wait; use acquire.');
    }
    const result = await this.obtain(keys, this.terms({ ...options, wait: 0 }));
    if (result instanceof HeldLease || result.verdict.kind !== 'busy') return leaseOf(result);
    return null;
  }

  /**
   * Runs `body` while holding the keys, and gives them back whatever happens. Returns what the body returned
   * or throws what it threw, the same object; a failed release goes to `events$`.
   *
   * @throws like {@link acquire}; and with `onLost: 'throw'`, LockLostError when a lock was lost meanwhile
   */
  using<T>(keys: Keys, body: (lease: Lease) => Promise<T> | T): Promise<T>;
  using<T>(keys: Keys, options: GuardOptions, body: (lease: Lease) => Promise<T> | T): Promise<T>;
  async using<T>(
    keys: Keys,
    optionsOrBody: GuardOptions | ((lease: Lease) => Promise<T> | T),
    lastBody?: (lease: Lease) => Promise<T> | T,
  ): Promise<T> {
    const [options, body] =
      typeof optionsOrBody === 'function' ? [undefined, optionsOrBody] : [optionsOrBody, lastBody];
    if (typeof body !== 'function') {
      throw new LockConfigurationError('using has nothing to run; give it a function as its last argument.');
    }
    const terms = this.terms(options);
    return this.guard(leaseOf(await this.obtain(keys, terms)), terms, body);
  }

  /**
   * A function that does what `fn` does while holding the key: for callbacks that no decorator reaches.
   *
   * @param key a key, several, or a function that makes them from the arguments
   * @throws LockConfigurationError at once, when an option is wrong; its calls throw like {@link using}
   */
  wrap<A extends unknown[], T>(
    fn: (...args: A) => Promise<T> | T,
    key: Keys | ((...args: A) => Keys),
    options: GuardOptions = {},
  ): (...args: A) => Promise<T> {
    if (typeof fn !== 'function') throw new LockConfigurationError('wrap has no function to wrap.');
    this.terms(options);
    return (...args) => {
      const body = (): Promise<T> | T => fn(...args);
      return Promise.resolve()
        .then(() => (typeof key === 'function' ? key(...args) : key))
        .then((keys) => this.using(keys, options, body));
    };
  }

  /**
   * Who holds the key, until when, and how many wait; null when nobody does.
   *
   * @throws LockUnavailableError when the lock server did not say
   * @throws LockKeyError when the key is none
   */
  async inspect(key: string): Promise<LockSnapshot | null> {
    const canonical = canonicalKey(this.settings.prefix, key);
    const snapshot = await this.ask(`look at "${key}"`, () => this.backend.inspect(canonical));
    return snapshot && { ...snapshot, key };
  }

  /**
   * All held keys that begin with `prefix`, in no order. A key that was long or unusual appears in its short
   * form.
   *
   * Servers that keep other things as well may have to look through all of them: then it takes as long as that takes,
   * and `callTimeout` is the limit of each of their answers.
   *
   * @param prefix of the keys as their callers write them. Default: all
   * @throws LockUnavailableError when the lock server did not say
   */
  async *list(prefix = ''): AsyncGenerator<LockSnapshot, void, undefined> {
    await this.start();
    const ours = `${this.settings.prefix}:`;
    const snapshots = relay(() => this.backend.list(ours + prefix));
    try {
      for (;;) {
        const step = await this.ask('list the locks', () => snapshots.next());
        if (step.done) return;
        if (step.value) yield { ...step.value, key: step.value.key.slice(ours.length) };
      }
    } finally {
      void snapshots.return().catch(() => undefined);
    }
  }

  /**
   * Takes the key from whoever holds it: its signal aborts, and the next in the line gets it. For people who
   * know that the holder is stuck; a holder that still works is only stopped by a fence.
   *
   * @returns false when nobody held it
   * @throws LockUnavailableError when the lock server did not confirm it; it may have been done
   * @throws LockKeyError when the key is none
   */
  async forceRelease(key: string): Promise<boolean> {
    const canonical = canonicalKey(this.settings.prefix, key);
    const evicted = await this.ask(`release "${key}"`, () => this.backend.evict(canonical));
    this.acquirer.doubt((claim) => claim.key === canonical);
    return evicted;
  }

  /**
   * Goes on with a lease of which `lease.handle()` was taken, here or in another process. The locks are
   * renewed from here on; the one who gave the handle away should not release, and may forget its lease when
   * it was acquired with `renew: false`. While that one renews them too, do not `extend` them here: its next renewal
   * would make them as short again on the server as they were.
   *
   * @throws LockLostError when a lock is not that owner's any more
   * @throws LockUnavailableError when the lock server did not say, or not in time
   * @throws LockConfigurationError when the text is no handle, or that of a service with another prefix
   */
  async adopt(handle: string, options: Pick<LockOptions, 'renew'> = {}): Promise<Lease> {
    const terms = this.terms(options);
    const parts = unpackHandle(handle);
    assertSamePrefix(parts, this.settings.prefix);
    await this.start();
    const sentAtMs = this.settings.clock.now();
    const grants = parts.map(({ grant }) => grant);
    const answers = answersOf(await this.ask(`adopt "${parts[0].name}"`, () => this.backend.renew(grants)));
    assertRenewed(parts, answers);
    const lease = this.acquirer.adopt(parts, sentAtMs, terms);
    if (lease) return lease;
    const { name } = parts[0];
    throw new LockUnavailableError(`Could not adopt "${name}": the answer came too late.`, { key: name });
  }

  /**
   * How the servers behind the locks are. It answers within its time-out, whatever they do; it never rejects for what
   * is wrong with them.
   *
   * @throws LockConfigurationError when an option is wrong
   */
  health(options?: HealthOptions): Promise<LockHealth> {
    return this.healthChecks.check(options);
  }

  /**
   * Connects to the lock server, once; all verbs wait for it. After a failure the next call tries again.
   *
   * @throws LockUnavailableError when the server cannot be used within `startTimeout`, or after `stop()`
   */
  start(): Promise<void> {
    return this.life.start();
  }

  /**
   * Rejects all waiters, gives everything back, cleans up, and closes what the backend opened. What is still
   * held is lost to its holder, who is told by its signal. Takes no longer than `shutdownTimeout` and three times
   * `callTimeout`, whatever the server does; never rejects.
   */
  stop(): Promise<void> {
    return this.life.stop();
  }

  /** @throws LockConfigurationError that says which option is wrong, and how */
  protected terms(options: GuardOptions | undefined): Terms {
    return options === undefined ? this.usualTerms : termsOf(options, this.settings);
  }

  /** Runs the body in the scope of the lease, and ends both. */
  protected async guard<T>(
    lease: HeldLease,
    terms: Terms,
    body: (lease: Lease) => Promise<T> | T,
  ): Promise<T> {
    const scope = this.scopeOf(lease);
    try {
      const { tracer } = this;
      const result = await (tracer
        ? tracer.holding(lease, () => runInScope(scope, () => body(lease)))
        : runInScope(scope, () => body(lease)));
      const loss = terms.onLost === 'throw' ? lossOf(lease) : undefined;
      if (loss) throw loss;
      return result;
    } finally {
      scope.open = false;
      await lease[Symbol.asyncDispose]();
    }
  }

  /** @internal Runs the body in the scope of a lease, which goes on after it. */
  async within<T>(lease: HeldLease, body: (lease: Lease) => Promise<T> | T): Promise<T> {
    const scope = this.scopeOf(lease);
    try {
      return await runInScope(scope, () => body(lease));
    } finally {
      scope.open = false;
    }
  }

  /**
   * @internal Lets somebody follow all acquisitions from here on, instead of whoever did before.
   *
   * @returns ends that
   */
  trace(tracer: LockTracer): () => void {
    this.tracer = tracer;
    return () => {
      if (this.tracer === tracer) this.tracer = undefined;
    };
  }

  /** @internal What is said of these locks beside each event. */
  get about(): LockMessage['locks'] {
    const { prefix, identity } = this.settings;
    return { name: this.name, prefix, identity, backend: this.backend.traits.name };
  }

  private scopeOf(lease: HeldLease): Scope {
    return { lease, holds: lease.holdsByKey, service: this, outer: currentScope(), open: true };
  }

  /** Acquires all keys in their global order, or none. Throws for wrong calls, never for a busy key. */
  protected obtain(keys: Keys, terms: Terms): Promise<HeldLease | Refusal> {
    const wanted = canonicalKeys(this.settings.prefix, keys);
    refuseMode(this.backend, terms);
    if (this.tracer) return this.tracer.acquiring(wanted, terms, () => this.obtainUntraced(wanted, terms));
    return this.obtainUntraced(wanted, terms);
  }

  private obtainUntraced(
    wanted: readonly [NamedKey, ...NamedKey[]],
    terms: Terms,
  ): Promise<HeldLease | Refusal> {
    if (this.acquirer.isOpen && !terms.signal?.aborted) return this.acquirer.obtain(wanted, terms);
    return this.obtainWhenStarted(wanted, terms);
  }

  /** What the start takes is part of the wait. */
  private async obtainWhenStarted(
    wanted: readonly [NamedKey, ...NamedKey[]],
    terms: Terms,
  ): Promise<HeldLease | Refusal> {
    const { clock, callTimeoutMs } = this.settings;
    const { signal, waitMs } = terms;
    const [{ name }] = wanted;
    const startMs = clock.now();
    const limitMs = waitMs === 0 ? callTimeoutMs : waitMs;
    const refusal = (verdict: Refusal['verdict']): Refusal => ({
      name,
      waitedMs: clock.now() - startMs,
      verdict,
    });
    if (signal?.aborted) return refusal({ kind: 'aborted', reason: signal.reason as unknown });
    const outcome = await unlessAborted(
      signal,
      outcomeOf(clock, limitMs, () => this.start()),
    );
    if (outcome === undefined) return refusal({ kind: 'aborted', reason: signal?.reason as unknown });
    if (outcome.ok) {
      const leftMs = waitMs === 0 ? 0 : Math.max(1, startMs + waitMs - clock.now());
      return this.acquirer.obtain(wanted, { ...terms, waitMs: leftMs });
    }
    if (outcome.error instanceof LockError) throw outcome.error;
    const error = new Error(`the lock service has not started within ${limitMs} ms`);
    return refusal({ kind: 'unavailable', certainty: 'denied', error });
  }

  private lifeOf(backend: LockBackend): BackendLife {
    const { clock, identity } = this.settings;
    return new BackendLife(backend, this.settings, {
      context: {
        clock,
        identity,
        doubt: (owner) => this.acquirer.doubt((claim) => owner === undefined || claim.owner === owner),
        report: (error) => {
          this.events.alert({ type: 'backend-error', error: asError(error) });
          this.nodes.suspect();
        },
      },
      opened: () => this.acquirer.open(),
      close: () => {
        this.nodes.stop();
        return this.acquirer.close();
      },
      closed: () => this.events.complete(),
    });
  }

  /** By a key of our own. One that a probe before it left behind is proof enough that the server grants locks. */
  private async tryLock(): Promise<void> {
    const { identity } = this.settings;
    const terms: Terms = {
      ...this.usualTerms,
      ttlMs: PROBE_TTL_MS,
      waitMs: 0,
      reentrant: false,
      pattern: 'health',
    };
    const result = await this.obtain(`health:${identity}`, terms);
    if (result instanceof HeldLease) await result.release();
    else if (result.verdict.kind !== 'busy') throw errorOf(result);
  }

  /** One call to the backend that changes no lease of ours. */
  private async ask<T>(what: string, call: () => Promise<T>): Promise<T> {
    await this.start();
    const outcome = await outcomeOf(this.settings.clock, this.settings.callTimeoutMs, call);
    if (outcome.ok) return outcome.value;
    throw new LockUnavailableError(`Could not ${what}: ${outcome.error.message}`, { cause: outcome.error });
  }
}

function leaseOf(result: HeldLease | Refusal): HeldLease {
  if (result instanceof HeldLease) return result;
  throw errorOf(result);
}

/** Backends may be anybody's: whatever is wrong with their list is what a step of this one rejects with. */
async function* relay<T>(list: () => AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  yield* list();
}

function refuseMode(backend: LockBackend, { mode }: Terms): void {
  const { modes, name } = backend.traits;
  if (modes.includes(mode)) return;
  throw new LockConfigurationError(
    `The backend "${name}" has no ${mode} locks, only ${modes.join(', ')}; use one of these, or another backend.`,
  );
}
