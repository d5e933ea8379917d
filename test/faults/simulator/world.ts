import type { Claim, LockBackend } from '../../../lib/backends/lock-backend.js';
import { memory, MemoryServer } from '../../../lib/backends/memory/index.js';
import { worstOverlap, type Belief } from '../judges/belief.js';
import { fencedViolation, type FencedHold } from '../judges/fenced-holds.js';
import { Caller, type Audience } from './caller.js';
import type { Holding } from './holding.js';
import { Host } from './host.js';
import { LockServer, type ServerFlaw } from './lock-server.js';
import { fair, planOf, type Plan } from './plan.js';
import { Process, SHUTDOWN_TIMEOUT_MS } from './process.js';
import { Random } from './random.js';
import { Resource } from './resource.js';
import { VirtualTime } from './virtual-time.js';
import { proofOf, Wire, type Proof, type WireFlaw } from './wire.js';

/** Clocks of clients and server run at rates that differ by less than the library allows for. */
const MOST_DRIFT = 0.004;
/** More than any of these worlds needs: it hangs, or spins. */
const MOST_STEPS = 60_000;
const SAMPLE_MS = 20;
/** The longest pause of a caller who asks again after failures. */
const LONGEST_BACKOFF_MS = 1_000;
/** What a free key may stay free for while somebody waits, apart from the way of the messages. */
const PROMPT_MS = 100;
const PATIENCE_MS = 250;

export interface Flaws {
  readonly server?: ServerFlaw | undefined;
  readonly wire?: WireFlaw | undefined;
  /** Leases are timed by the wall clock, which people set back now and then. */
  readonly wallClock?: boolean;
}

/** What one world came to. */
export interface Finding {
  readonly problems: readonly string[];
  readonly acquired: number;
  readonly writes: number;
  readonly steps: number;
  readonly trace: readonly string[];
}

/** Processes, a lock server and all that may go wrong between them, in a time of their own, decided by one seed. */
export class World implements Audience {
  readonly resource: Resource;
  private readonly problems: string[] = [];
  private readonly lines: string[] = [];
  private readonly time = new VirtualTime();
  private readonly random: Random;
  private readonly plan: Plan;
  private readonly serverHost: Host;
  private readonly server: LockServer | undefined;
  private readonly memoryServer: MemoryServer | undefined;
  private readonly processes: Process[] = [];
  private readonly running = new Map<Promise<void>, Process>();
  private readonly proofs = new Map<string, Proof>();
  private readonly fences = new Map<string, bigint>();
  /** When a lease was taken away on the server, by key and fence. */
  private readonly takenAtMs = new Map<string, number>();
  /** Key and fence, and the owner, of leases that are in other hands. */
  private readonly handedOver = new Set<string>();
  private readonly waiting = new Map<string, Map<Caller, number>>();
  private wasWiped = false;
  private isOver = false;

  constructor(
    seed: number,
    private readonly flaws: Flaws = {},
    private readonly traces = false,
  ) {
    this.plan = planOf(seed);
    this.random = new Random(seed ^ 0x5eed);
    this.resource = new Resource(this.time, this.random);
    this.serverHost = this.host('server');
    const { pollMs, handsOver } = this.plan;
    if (this.plan.server === 'plain') {
      this.server = new LockServer(this.serverHost, pollMs, handsOver, this.serverFlaw);
      this.server.onHandOver = (claim, fence, leaseMs) => this.give(claim, fence, leaseMs);
      this.server.onGrant = (key, freeForMs) => this.checkPrompt(key, freeForMs);
    } else {
      this.memoryServer = new MemoryServer({ clock: this.serverHost });
    }
    for (let n = 1; n <= this.plan.processes; n++) this.processes.push(this.process(`p${n}`));
  }

  async run(): Promise<Finding> {
    try {
      await this.live();
    } catch (error) {
      this.complain(`I7: something threw: ${error instanceof Error ? error.stack : String(error)}`);
    }
    return {
      problems: this.problems,
      acquired: this.processes.reduce((sum, { holdings }) => sum + holdings.length, 0),
      writes: this.resource.accepted,
      steps: this.time.steps,
      trace: this.lines,
    };
  }

  newestFence(key: string): bigint {
    return this.fences.get(key) ?? -1n;
  }

  acquired({ lease, host }: Holding): void {
    for (const [key, fence] of lease.fences) {
      if (fence > this.newestFence(key)) this.fences.set(key, fence);
      this.trace(`${host.name} holds ${key} with fence ${fence} for ${lease.expiresInMs.toFixed(1)} ms`);
    }
  }

  waitBegins(key: string, caller: Caller): void {
    const waiting = this.waiting.get(key) ?? new Map<Caller, number>();
    this.waiting.set(key, waiting.set(caller, this.time.nowMs));
  }

  waitEnds(key: string, caller: Caller, timedOut: boolean): void {
    if (timedOut && this.server) this.checkPrompt(key, this.server.freeForMs(`sim:${key}`));
    this.waiting.get(key)?.delete(caller);
  }

  post(holding: Holding, from: Process): void {
    const others = this.processes.filter((process) => process !== from && !process.stopped);
    const [first, ...more] = others;
    const { lease, share } = holding;
    const handle = lease.handle();
    for (const [key, fence] of lease.fences) {
      const name = `${key} ${fence}`;
      this.handedOver.add(name).add(this.proofs.get(name)?.owner ?? name);
    }
    // it is the other's from here on
    holding.end();
    if (!first) return;
    const to = this.random.pick([first, ...more]);
    this.trace(`${from.name} hands ${lease.key} (fence ${lease.fence}) over to ${to.name}`);
    this.time.after(this.random.between(0, 30), () =>
      to.host.receive(() => this.start(to, this.caller(to).adopt(handle, share))),
    );
  }

  complain(problem: string): void {
    this.trace(`PROBLEM ${problem}`);
    this.problems.push(`${this.time.nowMs.toFixed(3)} ms: ${problem}`);
  }

  trace(line: string): void {
    if (this.traces) this.lines.push(`${this.time.nowMs.toFixed(3).padStart(10)}  ${line}`);
  }

  private async live(): Promise<void> {
    const { forMs, callers } = this.plan;
    for (const process of this.processes) {
      process.host.receive(() => {
        for (let n = 0; n < callers; n++) this.start(process, this.caller(process).run(forMs));
      });
    }
    this.planTroubles();
    this.sample();
    await this.until('all callers have come to an end', () => this.callersAreDone);
    await this.shutDown();
    this.judge();
  }

  /** A server may revive what is renewed, as long as no renewal is under way when it is released: in fair weather. */
  private get serverFlaw(): ServerFlaw | undefined {
    const { server } = this.flaws;
    return server === 'renew revives' && this.plan.calmAtMs > 0 ? undefined : server;
  }

  private get callersAreDone(): boolean {
    for (const process of this.running.values()) if (!process.host.isDead) return false;
    return true;
  }

  private get alive(): Process[] {
    return this.processes.filter(({ host }) => !host.isDead);
  }

  private start(process: Process, work: Promise<void>): void {
    this.running.set(work, process);
    work.then(
      () => this.running.delete(work),
      (error: unknown) => {
        this.running.delete(work);
        this.complain(`a caller failed: ${error instanceof Error ? error.stack : String(error)}`);
      },
    );
  }

  private async until(what: string, isDone: () => boolean): Promise<void> {
    if (await this.time.run(isDone, MOST_STEPS)) return;
    this.complain(`I8: it never came to this: ${what}`);
  }

  private async shutDown(): Promise<void> {
    const startMs = this.time.nowMs;
    let stopping = this.alive.length;
    for (const process of this.alive) {
      process.host.receive(() => void process.stop().then(() => stopping--));
    }
    await this.until('all services have stopped', () => stopping === 0);
    const tookMs = this.time.nowMs - startMs;
    const limitMs = SHUTDOWN_TIMEOUT_MS + 2 * this.plan.callTimeoutMs;
    if (tookMs > limitMs + PATIENCE_MS)
      this.complain(`I8: stopping took ${tookMs} ms instead of ${limitMs} ms`);
    this.isOver = true;
    await this.expectNothingLeft('when all had stopped');
    const endMs = this.time.nowMs + this.plan.callTimeoutMs + this.plan.weather.strayMs + 50;
    this.time.at(endMs, () => undefined);
    await this.until('the end', () => this.time.nowMs >= endMs);
    await this.expectNothingLeft('at the end');
    for (const { host } of this.alive) {
      if (host.pendingTimers > 0) this.complain(`I5: ${host.name} left ${host.pendingTimers} timers`);
    }
  }

  /** Those who were killed leave what they had to its ttl; so does whoever had to give up cleaning. */
  private async expectNothingLeft(when: string): Promise<void> {
    if (this.wasWiped) return;
    const ours = this.alive.filter(
      ({ gaveUp, stoppedAtMs = 0 }) => !gaveUp && stoppedAtMs >= this.plan.calmAtMs,
    );
    for (const { key, owner, fence } of await this.onServer()) {
      const process = ours.find(({ name }) => owner.startsWith(`${name}~`));
      if (!process || this.handedOver.has(`${key} ${fence}`) || this.handedOver.has(owner)) continue;
      this.complain(`I5: ${when}, ${process.name} had left ${key} (fence ${fence}) on the server`);
    }
  }

  private async onServer(): Promise<{ key: string; owner: string; fence: bigint }[]> {
    if (this.server) {
      const holders = [...this.server.holders()].filter(({ released }) => !released);
      return holders.map(({ claim, fence }) => ({ key: plain(claim.key), owner: claim.owner, fence }));
    }
    const found: { key: string; owner: string; fence: bigint }[] = [];
    const inspector = await this.inspector();
    for (const key of this.plan.keys) {
      const snapshot = await inspector.inspect(`sim:${key}`);
      for (const { owner, fence } of snapshot?.holders ?? []) {
        // the snapshot does not tell who has released already, and lingers
        if (!this.lingers.has(owner)) found.push({ key, owner, fence });
      }
    }
    return found;
  }

  /** Of the memory server. */
  private readonly lingers = new Set<string>();

  private async inspector(): Promise<LockBackend> {
    const backend = memory({ server: this.memoryServer as MemoryServer });
    const ignore = (): void => undefined;
    await backend.start({ clock: this.serverHost, identity: 'judge', doubt: ignore, report: ignore });
    return backend;
  }

  private judge(): void {
    this.problems.push(...this.resource.violations);
    const beliefs: Belief[] = [];
    const holds = new Map<string, FencedHold[]>();
    for (const { host, holdings } of this.processes) {
      for (const holding of holdings) {
        if (holding.complaint !== undefined) this.complain(holding.complaint);
        if (!holding.isOver && !host.isDead) {
          this.complain(`I3: ${host.name} was never told of the loss of ${holding.lease.key}`);
        }
        for (const [key, fence] of holding.lease.fences) {
          const takenAtMs = this.takenAtMs.get(`${key} ${fence}`) ?? Infinity;
          const untilMs = Math.min(holding.untilMs, takenAtMs);
          beliefs.push({ key, who: host.name, fence, share: holding.share, fromMs: holding.fromMs, untilMs });
          if (holding.share.mode !== 'exclusive' || this.plan.allModes) continue;
          this.noteHold(holds, key, fence, holding, takenAtMs);
        }
      }
    }
    const overlap = worstOverlap(beliefs);
    if (overlap) {
      const { key, who, us, atMs } = overlap;
      this.complain(
        `I2: ${who.join(' and ')} believed in ${key} together, ${us} µs from ${atMs.toFixed(3)} ms on`,
      );
    }
    for (const [key, ofKey] of holds) {
      const violation = fencedViolation(ofKey);
      if (!violation) continue;
      const { before, after } = violation;
      this.complain(
        `I1: ${key}: fence ${after.fence} of ${after.owner} cannot come after fence ${before.fence} of ${before.owner}`,
      );
    }
  }

  private noteHold(
    holds: Map<string, FencedHold[]>,
    key: string,
    fence: bigint,
    holding: Holding,
    takenAtMs: number,
  ): void {
    const ofKey = holds.get(key) ?? [];
    holds.set(key, ofKey);
    const proof = this.proofs.get(`${key} ${fence}`);
    // whoever adopts a lease, or forgets that he gave it away, has no hold of his own
    if (!proof || this.handedOver.has(`${key} ${fence}`)) return;
    const expiresAtMs = proof.sentAtMs + (proof.untilMs - proof.sentAtMs) / this.serverHost.rate;
    const endsAtMs = Math.min(holding.endedAtMs ?? holding.toldAtMs ?? Infinity, expiresAtMs, takenAtMs);
    const { calledAtMs: inv, fromMs: ret, host } = holding;
    ofKey.push({ owner: host.name, fence, inv, ret, endsAtMs });
  }

  /** While somebody waited, and nothing was wrong any more, the key was free for longer than it takes. */
  private checkPrompt(name: string, freeForMs: number): void {
    const key = plain(name);
    const waiting = [...(this.waiting.get(key) ?? [])].filter(([{ host }]) => host.isAwake);
    if (freeForMs <= 0 || waiting.length === 0) return;
    const waitingSinceMs = Math.min(...waiting.map(([, sinceMs]) => sinceMs));
    const { weather, pollMs, staysTogether, calmAtMs, callTimeoutMs } = this.plan;
    const { nowMs } = this.time;
    // a server that forgot who had given up may find a place for their late requests
    const lateMs = this.wasWiped ? weather.strayMs + 3 * pollMs : 0;
    const recoveryMs = calmAtMs === 0 ? 0 : callTimeoutMs + LONGEST_BACKOFF_MS + 3 * pollMs + 400 + lateMs;
    const sinceMs = Math.max(nowMs - freeForMs, waitingSinceMs, calmAtMs + recoveryMs);
    // who shows life together with others is passed over when it was heard of just before, and asks by another call
    const pollsMs = (staysTogether ? 1.5 * pollMs + 2 * weather.mostMs : pollMs) + 10;
    const limitMs =
      PROMPT_MS + 6 * weather.mostMs + (weather.lostHints + weather.lateHints > 0 ? pollsMs : 0);
    if (nowMs - sinceMs > limitMs) {
      this.complain(
        `I4: ${key} was free for ${Math.round(nowMs - sinceMs)} ms while somebody waited, instead of ${Math.round(limitMs)} ms`,
      );
    }
  }

  /** Now and then: whoever has nothing under way has nothing on the server but what its callers know of. */
  private sample(): void {
    if (this.isOver) return;
    this.time.after(SAMPLE_MS, () => this.sample());
    if (!this.server || this.wasWiped) return;
    const holders = [...this.server.holders()].filter(({ released }) => !released);
    const waiters = [...this.server.waiters()];
    if (holders.length + waiters.length === 0) return;
    for (const process of this.processes) {
      if (!isIdle(process)) continue;
      for (const { claim, fence } of holders) {
        const name = `${plain(claim.key)} ${fence}`;
        if (!claim.owner.startsWith(`${process.name}~`) || this.handedOver.has(name)) continue;
        const isKnown = process.holdings.some(
          ({ lease, isOver, endedAtMs }) =>
            // of several keys, those that were not lost stay until the release
            (!isOver || (lease.keys.length > 1 && endedAtMs === undefined)) &&
            lease.fences.get(plain(claim.key)) === fence,
        );
        if (!isKnown) this.complain(`I5: nobody in ${process.name} knows of ${name} on the server`);
      }
      const isOurs = ({ owner }: Claim): boolean =>
        owner.startsWith(`${process.name}~`) && !this.handedOver.has(owner);
      if (waiters.some(isOurs)) {
        this.complain(`I5: nobody in ${process.name} knows of its place in the line`);
      }
    }
  }

  private planTroubles(): void {
    const { troubles, calmAtMs } = this.plan;
    if (calmAtMs === 0) return;
    this.time.at(calmAtMs, () => {
      for (const { wire } of this.processes) wire.weather = fair(wire.weather);
    });
    const some = (count: number, most: number, act: (process: Process, forMs: number) => void): void => {
      for (let n = 0; n < count; n++) {
        const atMs = this.random.between(0, calmAtMs * 0.9);
        const forMs = Math.min(this.random.between(1, most), calmAtMs - atMs);
        const process = this.random.pick(this.processes as [Process, ...Process[]]);
        this.time.at(atMs, () => act(process, forMs));
      }
    };
    const named =
      (what: string, act: (process: Process, forMs: number) => void) =>
      (process: Process, forMs: number): void => {
        this.trace(`trouble: ${what} (${process.name}, ${forMs.toFixed(1)} ms)`);
        act(process, forMs);
      };
    some(
      troubles.freezes,
      700,
      named('freeze', ({ host }, forMs) => host.freeze(forMs)),
    );
    some(
      troubles.suspensions,
      700,
      named('suspend', ({ host }, forMs) => host.suspend(forMs)),
    );
    some(
      troubles.leaps,
      900,
      named('leap', ({ host }, byMs) => host.leap(this.flaws.wallClock ? -byMs : byMs)),
    );
    some(
      troubles.cuts,
      600,
      named('cut', ({ wire }, forMs) => wire.swallow(forMs)),
    );
    some(
      troubles.breaks,
      200,
      named('break', ({ wire }, forMs) => wire.breakOff(forMs)),
    );
    some(
      troubles.serverFreezes,
      500,
      named('server freezes', (_, forMs) => this.serverHost.freeze(forMs)),
    );
    some(
      troubles.restarts,
      300,
      named('restart', (_, forMs) => this.restart(forMs, false)),
    );
    some(
      troubles.wipes,
      300,
      named('restart without data', (_, forMs) => this.restart(forMs, true)),
    );
    some(
      troubles.evictions,
      1,
      named('key deleted', () => this.deleteByHand()),
    );
    some(
      troubles.kills,
      1,
      named('kill', (process) => this.kill(process)),
    );
    some(
      troubles.stops,
      1,
      named('stop', (process) => this.stopEarly(process)),
    );
  }

  private restart(forMs: number, isEmpty: boolean): void {
    for (const { wire } of this.processes) wire.breakOff(forMs);
    this.serverHost.receive(() => {
      if (isEmpty && this.server) {
        this.wasWiped = true;
        for (const { claim, fence } of this.server.holders()) this.noteTaken(claim.key, fence);
        this.server.wipe();
      }
      this.server?.hangUp();
    });
  }

  private deleteByHand(): void {
    const key = `sim:${this.random.pick(this.plan.keys)}`;
    this.serverHost.receive(() => {
      for (const { fence } of this.server?.evict(key, true) ?? []) this.noteTaken(key, fence);
    });
  }

  /** Nobody may believe in it for longer than the server keeps it. */
  private give(claim: Claim, fence: bigint, leaseMs: number): void {
    const { nowMs } = this.time;
    const untilMs = nowMs + leaseMs;
    this.proofs.set(proofOf({ claim, fence }), {
      isGiven: true,
      owner: claim.owner,
      sentAtMs: nowMs,
      untilMs,
    });
    this.trace(`server hands ${plain(claim.key)} over with fence ${fence}, for ${leaseMs.toFixed(1)} ms`);
  }

  private kill(process: Process): void {
    if (this.alive.length < 2) return;
    process.host.kill();
    for (const holding of process.holdings) holding.die();
  }

  private stopEarly(process: Process): void {
    process.host.receive(() => void process.stop());
  }

  private noteTaken(name: string, fence: bigint): void {
    const id = `${plain(name)} ${fence}`;
    if (!this.takenAtMs.has(id)) this.takenAtMs.set(id, this.time.nowMs);
  }

  private caller(process: Process): Caller {
    return new Caller(process, this.random, this.plan, this);
  }

  private host(name: string): Host {
    const rate = 1 + this.random.between(-MOST_DRIFT, MOST_DRIFT);
    return new Host(name, this.time, this.random, rate, this.random.between(0, 1_000_000));
  }

  private process(name: string): Process {
    const host = this.host(name);
    const { weather, staysTogether } = this.plan;
    const trace = this.traces ? (line: string): void => this.trace(line) : undefined;
    const { time, random, serverHost, proofs, flaws } = this;
    const complain = (problem: string): void => this.complain(problem);
    const inner = this.backend();
    const watcher = { complain, trace };
    const wire = new Wire(
      time,
      random,
      host,
      serverHost,
      inner,
      staysTogether,
      weather,
      proofs,
      flaws.wire,
      watcher,
    );
    return new Process(host, wire, proofs, this.plan);
  }

  /** The server's end of a wire; whoever takes a key away answers for those who held it. */
  private backend(): LockBackend {
    const inner = this.server?.session() ?? memory({ server: this.memoryServer as MemoryServer });
    const evict = async (key: string): Promise<boolean> => {
      const snapshot = await inner.inspect(key);
      for (const { fence } of snapshot?.holders ?? []) this.noteTaken(key, fence);
      return inner.evict(key);
    };
    const release: LockBackend['release'] = (grant, lingerMs = 0) => {
      if (lingerMs > 0) this.lingers.add(grant.claim.owner);
      return inner.release(grant, lingerMs);
    };
    return Object.assign(Object.create(inner) as LockBackend, { evict, release });
  }
}

function isIdle({ host, wire, locks, gaveUp, calling, stopped, stoppedAtMs }: Process): boolean {
  if (stopped && stoppedAtMs === undefined) return false;
  if (!host.isAwake || gaveUp || calling + wire.open + wire.underway > 0) return false;
  const { waiting, owed } = locks.gauges;
  return waiting + owed === 0;
}

function plain(name: string): string {
  return name.startsWith('sim:') ? name.slice('sim:'.length) : name;
}
