import { LockError, LockTimeoutError } from '../../../lib/core/errors.js';
import type { Lease } from '../../../lib/core/lease.js';
import type { GuardOptions } from '../../../lib/core/options.js';
import { EXCLUSIVE, type Share } from '../judges/share.js';
import type { Host } from './host.js';
import type { Holding } from './holding.js';
import type { Plan } from './plan.js';
import type { Process } from './process.js';
import type { Random } from './random.js';
import type { Resource } from './resource.js';

/** What DESIGN.md allows every call to take beyond its own deadline. */
const PATIENCE_MS = 250;
const SHARED: Share = { mode: 'shared', take: 1, of: 0 };

/** What a caller tells the world of. */
export interface Audience {
  readonly resource: Resource;
  /** The highest fence that somebody was told of. */
  newestFence(key: string): bigint;
  acquired(holding: Holding): void;
  /** Somebody waits for that key, until `waitEnds` is called with the same caller. */
  waitBegins(key: string, caller: Caller): void;
  waitEnds(key: string, caller: Caller, timedOut: boolean): void;
  /** Hands a lease over to another process. */
  post(holding: Holding, from: Process): void;
  complain(problem: string): void;
  trace(line: string): void;
}

interface Wish {
  readonly keys: readonly [string, ...string[]];
  readonly share: Share;
  readonly options: GuardOptions & { readonly ttl: number; readonly wait: number };
}

/** Somebody in a process who wants locks again and again, in all the ways that there are. */
export class Caller {
  private calledAtMs = 0;
  private fencesBefore: ReadonlyMap<string, bigint> = new Map();
  /** The key that is waited for. */
  private awaited: string | undefined;

  constructor(
    private readonly process: Process,
    private readonly random: Random,
    private readonly plan: Plan,
    private readonly world: Audience,
  ) {}

  get host(): Host {
    return this.process.host;
  }

  /** Until that real time. */
  async run(untilMs: number): Promise<void> {
    const { host } = this.process;
    while (host.time.nowMs < untilMs && !this.process.stopped) {
      await this.process.sleep(this.random.between(0, 25));
      const kind = this.random.next();
      if (kind < 0.25) await this.useOnce();
      else if (kind < 0.29) await this.takeAway();
      else await this.acquireOnce();
    }
  }

  /** Goes on with a lease that somebody else has handed over. */
  async adopt(handle: string, share: Share): Promise<void> {
    const calledAtMs = this.process.host.time.nowMs;
    const lease = await this.timely('adopt', this.plan.callTimeoutMs, () => this.process.locks.adopt(handle));
    if (!lease) return;
    const holding = this.process.hold(lease, share, calledAtMs);
    await this.process.sleep(this.random.between(0, 100));
    await this.release(holding);
  }

  private async acquireOnce(): Promise<void> {
    const wish = this.wish();
    const lease = await this.obtain(wish, (signal) =>
      this.process.locks.acquire(wish.keys, signal ? { ...wish.options, signal } : wish.options),
    );
    if (!lease) return;
    await this.hold(lease, wish);
  }

  private async useOnce(): Promise<void> {
    const wish = this.wish();
    const { locks, host } = this.process;
    const outcome = new Error('what the body came to');
    const fails = this.random.chance(0.3);
    let bodyEndedAtMs: number | undefined;
    const body = async (lease: Lease): Promise<object> => {
      this.process.calling--;
      const holding = this.enter(lease, wish);
      await this.work(holding, wish);
      if (this.random.chance(0.15)) await this.reenter(wish, lease);
      holding.end();
      this.process.calling++;
      bodyEndedAtMs = host.awakeMs;
      if (fails) throw outcome;
      return outcome;
    };
    this.process.calling++;
    const came = await this.waiting(wish, () =>
      locks.using(wish.keys, wish.options, body).catch((error: unknown) => error),
    );
    this.process.calling--;
    if (bodyEndedAtMs === undefined) {
      if (!(came instanceof LockError)) this.world.complain(`I8: using came to ${String(came)}`);
      return;
    }
    if (came !== outcome) this.world.complain(`I8: using masked what its body came to by ${String(came)}`);
    this.checkTook('the end of using', bodyEndedAtMs, 2 * this.plan.callTimeoutMs);
  }

  private async reenter({ keys: [key], share }: Wish, outer: Lease): Promise<void> {
    const options = share.mode === 'permits' ? { permits: share.of, take: share.take } : { mode: share.mode };
    const fence = await this.timely('re-entry', 0, () =>
      this.process.locks.using(key, { ...options, wait: 0 }, (inner) => inner.fence),
    );
    if (fence !== undefined && fence !== outer.fences.get(key)) {
      this.world.complain(`re-entry of ${key} got fence ${fence} inside of ${outer.fences.get(key)}`);
    }
  }

  private async takeAway(): Promise<void> {
    if (this.plan.troubles.evictions === 0) return;
    const key = this.random.pick(this.plan.keys);
    await this.timely('forceRelease', this.plan.callTimeoutMs, () => this.process.locks.forceRelease(key));
  }

  private async hold(lease: Lease, wish: Wish): Promise<void> {
    const holding = this.enter(lease, wish);
    await this.work(holding, wish);
    if (this.random.chance(0.1) && lease.held) await this.extend(lease);
    if (wish.options.renew === false && this.random.chance(0.15) && lease.held) {
      this.world.post(holding, this.process);
      return;
    }
    await this.release(holding);
  }

  private enter(lease: Lease, { share }: Wish): Holding {
    this.endWait(false);
    const holding = this.process.hold(lease, share, this.calledAtMs);
    for (const [key, fence] of lease.fences) {
      const newest = this.fencesBefore.get(key) ?? -1n;
      if (fence <= newest) this.world.complain(`I1: ${key} was granted with fence ${fence} after ${newest}`);
    }
    this.world.acquired(holding);
    return holding;
  }

  private async work({ lease, share }: Holding, { options }: Wish): Promise<void> {
    // about when the first renewal is under way
    if (this.random.chance(0.1)) await this.process.sleep(options.ttl / 3 + this.random.between(-6, 4));
    else if (share.mode === 'exclusive' && this.random.chance(0.5)) await this.write(lease);
    else await this.process.sleep(this.random.between(0, this.random.chance(0.12) ? 700 : 40));
  }

  /** Carefully, or without another look at the lease: the fence has to be enough. */
  private async write(lease: Lease): Promise<void> {
    const { host } = this.process;
    const { resource } = this.world;
    for (const [key, fence] of lease.fences) {
      const value = await resource.read(host, key, fence);
      if (value === undefined) return;
      if (this.random.chance(0.3)) await this.process.sleep(this.random.between(0, 30));
      if (this.random.chance(0.7) && !lease.held) return;
      await resource.write(host, key, fence, value + 1);
    }
  }

  private async extend(lease: Lease): Promise<void> {
    const ttl = this.random.pick([50, 300, 900]);
    const limitMs = 3 * this.plan.callTimeoutMs * lease.keys.length;
    await this.timely('extend', limitMs, () => lease.extend(ttl));
    await this.process.sleep(this.random.between(0, 100));
  }

  private async release(holding: Holding): Promise<void> {
    holding.end();
    await this.timely('release', 2 * this.plan.callTimeoutMs, () => holding.lease.release());
  }

  private wish(): Wish {
    const { random, plan } = this;
    const ttl = random.pick([60, 150, 400, 400, 1_000]);
    const wait = random.pick([0, 20, 100, 400, 1_500]);
    const [first, ...others] = plan.keys;
    const keys: [string, ...string[]] = random.chance(0.15) ? [first, ...others] : [random.pick(plan.keys)];
    const common = { ttl, wait, ...(random.chance(0.25) && { renew: false }) };
    const kind = plan.allModes ? random.next() : 1;
    if (kind < 0.3) return { keys, share: SHARED, options: { ...common, mode: 'shared' } };
    if (kind < 0.6) {
      const take = random.whole(1, 2);
      return { keys, share: { mode: 'permits', take, of: 3 }, options: { ...common, permits: 3, take } };
    }
    const options = random.chance(0.08) ? { ...common, minHold: random.whole(1, 60) } : common;
    return { keys, share: EXCLUSIVE, options };
  }

  private async obtain(
    wish: Wish,
    call: (signal: AbortSignal | undefined) => Promise<Lease>,
  ): Promise<Lease | undefined> {
    const abort = this.random.chance(0.1) ? new AbortController() : undefined;
    if (abort)
      this.process.host.setTimer(() => abort.abort(new LockError('aborted')), this.random.between(0, 120));
    const { wait } = wish.options;
    const limitMs = wait === 0 ? this.plan.callTimeoutMs * wish.keys.length : wait;
    return this.waiting(wish, () =>
      this.timely(`acquire ${wish.keys.join()}`, limitMs, () => call(abort?.signal)),
    );
  }

  private async waiting<T>({ keys, options }: Wish, call: () => Promise<T>): Promise<T> {
    this.calledAtMs = this.process.host.time.nowMs;
    this.fencesBefore = new Map(keys.map((key) => [key, this.world.newestFence(key)]));
    const [key] = keys;
    if (keys.length === 1 && options.wait !== 0) {
      this.awaited = key;
      this.world.waitBegins(key, this);
    }
    const result = await call();
    this.endWait(result instanceof LockTimeoutError);
    return result;
  }

  private endWait(timedOut: boolean): void {
    const { awaited } = this;
    this.awaited = undefined;
    if (awaited !== undefined) this.world.waitEnds(awaited, this, timedOut);
  }

  /** The value; undefined when it failed in the way in which it may. */
  private async timely<T>(what: string, limitMs: number, call: () => Promise<T>): Promise<T | undefined> {
    const startMs = this.process.host.awakeMs;
    this.process.calling++;
    try {
      return await call();
    } catch (error) {
      if (error instanceof LockTimeoutError) this.endWait(true);
      if (!(error instanceof LockError)) this.world.complain(`I8: ${what} came to ${String(error)}`);
      this.world.trace(`${this.process.name}: ${what} came to ${String(error)}`);
      return undefined;
    } finally {
      this.process.calling--;
      this.checkTook(what, startMs, limitMs);
    }
  }

  private checkTook(what: string, startMs: number, limitMs: number): void {
    const { host } = this.process;
    const tookMs = host.awakeMs - startMs;
    if (tookMs <= limitMs + PATIENCE_MS || host.isDead) return;
    this.world.complain(`I8: ${what} in ${host.name} took ${Math.round(tookMs)} ms instead of ${limitMs} ms`);
  }
}
