import { BackendError } from '../../../lib/backends/backend-error.js';
import {
  isGrant,
  type BackendContext,
  type BackendTraits,
  type Claim,
  type Grant,
  type LockBackend,
  type LockSnapshot,
  type NodeHealth,
  type Place,
  type RenewOutcome,
} from '../../../lib/backends/lock-backend.js';
import type { HandedOver, SignOfLife } from '../../../lib/backends/hints.js';
import { WaitingPlace } from '../../../lib/backends/waiting-place.js';
import type { Host } from './host.js';
import type { HandingOver } from './lock-server.js';
import type { Random } from './random.js';
import type { VirtualTime } from './virtual-time.js';

/** How bad the way to the server is; chances from 0 to 1. */
export interface Weather {
  /** What a message takes at least, and what it may take. */
  readonly leastMs: number;
  readonly mostMs: number;
  readonly lostRequests: number;
  readonly lostReplies: number;
  /** Requests that everybody has given up, and that arrive all the same, up to that much later. */
  readonly strays: number;
  readonly strayMs: number;
  /** The server says no, and has done nothing. */
  readonly refusals: number;
  readonly lostHints: number;
  /** Hints that arrive up to `strayMs` later. */
  readonly lateHints: number;
  readonly needlessHints: number;
  /** Requests overtake one another on different ones. */
  readonly connections: number;
  /** The process is stopped between reading the clock and sending. */
  readonly stopsAtSend: number;
}

/** What the client of the server gets wrong on purpose. */
export type WireFlaw = 'deadline from the reply' | 'hints only' | 'listens after the try';

/** When a lease was asked for by the requests that came through; real time. */
export interface Proof {
  /** Of a lease that nobody asked for: whatever is asked for counts from there on. */
  readonly isGiven?: boolean;
  readonly owner: string;
  sentAtMs: number;
  /** The server keeps the lease at least until then, and nobody may believe in it for longer. */
  untilMs: number;
}

/** Who looks at what goes over a wire. */
export interface Watcher {
  complain(problem: string): void;
  readonly trace: ((line: string) => void) | undefined;
}

/** Where the hints for one owner go. */
interface Station {
  /** From its first answer on. */
  place: WaitingPlace | undefined;
  /** A hint came after the server had seen it last. */
  heard: boolean;
  /** How it asks again. */
  retry: () => Promise<Grant | Place>;
}

/** A place, and until when it counts as alive, where the server says that. */
interface Standing {
  readonly answer: Place;
  readonly aliveUntil: number | undefined;
}

interface Pending {
  readonly fail: (error: BackendError) => void;
}

/** What becomes of one request. */
interface Fate {
  readonly lost: boolean;
  /** It arrives long after, and nobody hears of it. */
  readonly astray: boolean;
  /** Its reply is lost. */
  readonly mute: boolean;
  readonly refused: boolean;
}

/**
 * The way between one process and the lock server: requests in their order, replies in theirs, hints by another
 * way. It can break, it can be cut in silence, and what was given up may arrive long after.
 */
export class Wire implements LockBackend {
  readonly traits: BackendTraits;
  stay?: NonNullable<LockBackend['stay']>;
  /** Nothing gets through, and nobody is told. */
  isCut = false;
  /** Requests that may still arrive at the server. */
  underway = 0;
  private context: BackendContext | undefined;
  private readonly pending = new Set<Pending>();
  private readonly stations = new Map<string, Station>();
  private readonly lastRequestMs: number[] = [];
  private lastReplyMs = 0;
  private connection = 0;

  constructor(
    private readonly time: VirtualTime,
    private readonly random: Random,
    private readonly client: Host,
    private readonly server: Host,
    private readonly inner: LockBackend & Partial<HandingOver>,
    staysTogether: boolean,
    public weather: Weather,
    /** By key and fence; of all wires together. */
    private readonly proofs: Map<string, Proof>,
    private readonly flaw: WireFlaw | undefined,
    private readonly watcher: Watcher,
  ) {
    this.traits = { ...inner.traits, remote: true };
    if (staysTogether && inner.stay) this.stay = (claims) => this.stayAll(claims);
    if (flaw === 'hints only') this.traits = { ...this.traits, pollMs: 3_600_000 };
  }

  /** Calls of the core that have not come to anything. */
  get open(): number {
    return this.pending.size;
  }

  start(context: BackendContext): Promise<void> {
    this.context = context;
    const doubt = (owner?: string): void => this.push(() => context.doubt(owner));
    return this.inner.start({ ...context, clock: this.server, doubt });
  }

  claim(claim: Claim): Promise<Grant | Place> {
    return this.send('claim', claim, () => this.inner.claim(claim));
  }

  async abandon(claim: Claim): Promise<void> {
    this.stations.delete(claim.owner);
    return this.exchange(`abandon ${nameOf(claim)}`, () => this.inner.abandon(claim));
  }

  async renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    const sentAtMs = this.time.nowMs;
    const what = grants.map(({ claim }) => `${nameOf(claim)} for ${claim.ttlMs}`);
    for (const grant of grants) this.shorten(grant, sentAtMs);
    const answers = await this.exchange(`renew ${what.join(', ')}`, () => this.inner.renew(grants));
    grants.forEach((grant, index) => answers[index] === 'renewed' && this.prove(grant, sentAtMs));
    return answers;
  }

  async release(grant: Grant, lingerMs?: number): Promise<'released' | 'gone'> {
    return this.exchange(`release ${nameOf(grant.claim)}`, () => this.inner.release(grant, lingerMs));
  }

  inspect(key: string): Promise<LockSnapshot | null> {
    return this.exchange(`inspect ${key}`, () => this.inner.inspect(key));
  }

  async *list(prefix: string): AsyncGenerator<LockSnapshot | undefined> {
    yield* this.inner.list(prefix);
  }

  evict(key: string): Promise<boolean> {
    return this.exchange(`evict ${key}`, () => this.inner.evict(key));
  }

  nodes(limitMs?: number): Promise<readonly NodeHealth[]> {
    return this.inner.nodes(limitMs);
  }

  stop(): Promise<void> {
    return this.inner.stop();
  }

  /** The connection breaks, which both ends notice, and is there again after a while. */
  breakOff(forMs: number): void {
    this.connection++;
    this.isCut = true;
    this.client.receive(() => {
      for (const { fail } of this.pending) fail(new BackendError('the connection broke', 'unknown'));
    });
    this.time.after(forMs, () => this.reconnect());
  }

  /** Nothing arrives for a while, and nobody is told of it. */
  swallow(forMs: number): void {
    this.isCut = true;
    this.time.after(forMs, () => this.reconnect());
  }

  private reconnect(): void {
    this.isCut = false;
    this.push(() => this.context?.doubt());
  }

  private async stayAll(claims: readonly Claim[]): Promise<readonly boolean[]> {
    const sentAtMs = this.client.now();
    const { inner } = this;
    const step = async (): Promise<readonly (readonly [boolean, number | undefined])[]> => {
      const asks = (await inner.stay?.(claims)) ?? [];
      return claims.map((claim, at) => [asks[at] ?? true, inner.standsUntil?.(claim)]);
    };
    const answers = await this.exchange(`stay ${claims.map(nameOf).join(', ')}`, step);
    claims.forEach(({ owner }, at) => {
      const sign = signOf(sentAtMs, answers[at]?.[1]);
      if (sign) this.stations.get(owner)?.place?.stoodAt(sign);
    });
    return answers.map(([asks]) => asks);
  }

  /** @internal */
  async ask(claim: Claim, place?: WaitingPlace): Promise<Grant | Place> {
    const station = this.stations.get(claim.owner);
    return place && station ? this.send('retry', claim, station.retry) : this.claim(claim);
  }

  /** @internal Of a first lease, enough has to be left to renew it in time. */
  takeOver(claim: Claim, fence: bigint, stoodAtMs: number): Grant | undefined {
    const { silenceMs = 0 } = this.inner;
    if (this.client.now() > stoodAtMs + silenceMs / 2) return undefined;
    this.stations.delete(claim.owner);
    return { claim, fence, sentAtMs: stoodAtMs, leaseMs: silenceMs };
  }

  private async send(what: string, claim: Claim, step: () => Promise<Grant | Place>): Promise<Grant | Place> {
    const sentAtMs = this.client.now();
    const reallySentAtMs = this.time.nowMs;
    const answer = await this.exchange(`${what} ${nameOf(claim)}`, async () =>
      this.stand(claim, await step()),
    );
    if ('answer' in answer) return this.place(claim, answer, sentAtMs);
    this.stations.delete(claim.owner);
    this.prove(answer, reallySentAtMs);
    return { ...answer, sentAtMs: this.flaw === 'deadline from the reply' ? this.client.now() : sentAtMs };
  }

  private place(claim: Claim, { answer, aliveUntil }: Standing, sentAtMs: number): Place {
    const { expiresInMs, ...others } = answer.busy;
    if (others.holder === claim.owner) this.watcher.complain(`I5: ${nameOf(claim)} waits for itself`);
    if (this.flaw === 'listens after the try') {
      this.time.after(this.delayMs(), () => this.server.receive(() => this.hear(claim, answer)));
    }
    const busy = expiresInMs === undefined || this.flaw === 'hints only' ? others : answer.busy;
    const station = this.stations.get(claim.owner);
    const sign = signOf(sentAtMs, aliveUntil);
    const place = station?.place ?? new WaitingPlace(this, claim, busy, sign);
    place.goesOn(busy, sign);
    if (station) Object.assign(station, { place, retry: () => answer.retry() });
    return place;
  }

  /** @internal The place is about to be told of hints. */
  listen({ owner }: Claim, place: WaitingPlace): void {
    const station = this.stations.get(owner);
    if (station?.heard) queueMicrotask(() => place.hint());
    if (station && this.random.chance(this.weather.needlessHints)) this.push(() => this.wake(owner));
  }

  /** At the server, in the step itself: no hint comes before somebody listens. */
  private stand(claim: Claim, answer: Grant | Place): Grant | Standing {
    if (isGrant(answer)) return answer;
    const station = this.stations.get(claim.owner);
    if (station) station.heard = false;
    else this.stations.set(claim.owner, { place: undefined, heard: false, retry: () => answer.retry() });
    if (this.flaw !== 'listens after the try') this.hear(claim, answer);
    return { answer, aliveUntil: this.inner.standsUntil?.(claim) };
  }

  private hear({ owner }: Claim, place: Place): void {
    place.onHint((handedOver?: HandedOver) => this.push(() => this.wake(owner, handedOver)));
  }

  private wake(owner: string, handedOver?: HandedOver): void {
    const station = this.stations.get(owner);
    if (!station) return;
    station.heard = true;
    this.watcher.trace?.(
      `${this.client.name} hears a hint for ${short(owner)}${handedOver ? `, with fence ${handedOver.fence}` : ''}`,
    );
    station.place?.hint(handedOver);
  }

  /** From the server to the process, by a connection of its own. */
  private push(message: () => void): void {
    const { lostHints, lateHints, strayMs } = this.weather;
    if (this.isCut || this.random.chance(lostHints)) return;
    const lateMs = lateHints > 0 && this.random.chance(lateHints) ? this.random.next() * strayMs : 0;
    this.time.after(this.delayMs() + lateMs, () => !this.isCut && this.client.receive(message));
  }

  private exchange<T>(what: string, step: () => Promise<T>): Promise<T> {
    const fate = this.drawFate();
    if (this.random.chance(this.weather.stopsAtSend)) this.client.freeze(this.random.between(5, 400));
    this.watcher.trace?.(`${this.client.name} sends ${what}${show(fate)}${this.isCut ? ', cut off' : ''}`);
    return new Promise<T>((resolve, reject) => {
      const settle = (done: () => void): void => {
        if (this.pending.delete(pending)) done();
      };
      const pending: Pending = { fail: (error) => settle(() => reject(error)) };
      this.pending.add(pending);
      if (fate.refused) this.reply(() => pending.fail(new BackendError('refused', 'denied')));
      else if (!fate.lost && !this.isCut) this.deliver(what, fate, step, settle, { resolve, reject });
    });
  }

  /** One throw of the dice for each, so that a seed means the same however the calls come out. */
  private drawFate(): Fate {
    const { weather, random } = this;
    return {
      lost: random.chance(weather.lostRequests),
      astray: random.chance(weather.strays),
      mute: random.chance(weather.lostReplies),
      refused: random.chance(weather.refusals),
    };
  }

  private deliver<T>(
    what: string,
    { astray, mute }: Fate,
    step: () => Promise<T>,
    settle: (done: () => void) => void,
    { resolve, reject }: { resolve: (value: T) => void; reject: (error: Error) => void },
  ): void {
    const { connection } = this;
    const isGone = (): boolean => this.isCut || connection !== this.connection;
    const answer = (done: () => void): void => {
      if (!mute && !astray && !isGone()) this.reply(() => !isGone() && settle(done));
    };
    const arrive = (): void => {
      this.underway--;
      this.watcher.trace?.(`server does ${what}`);
      step().then(
        (value) => answer(() => resolve(value)),
        (error: Error) => answer(() => reject(error)),
      );
    };
    this.underway++;
    this.time.at(this.arrivalMs(astray), () => {
      if (!astray && isGone()) this.underway--;
      else this.server.receive(arrive);
    });
  }

  private arrivalMs(isStray: boolean): number {
    const { nowMs } = this.time;
    // whoever was stopped sends when it goes on
    const leavesAtMs = this.client.isAwake ? nowMs : this.client.thawsAtMs;
    if (isStray) return leavesAtMs + this.random.next() * this.weather.strayMs;
    const connection = this.weather.connections > 1 ? this.random.whole(1, this.weather.connections) : 1;
    const arrivesAtMs = Math.max(this.lastRequestMs[connection] ?? 0, leavesAtMs + this.delayMs());
    this.lastRequestMs[connection] = arrivesAtMs;
    return arrivesAtMs;
  }

  private reply(message: () => void): void {
    this.lastReplyMs = Math.max(this.lastReplyMs, this.time.nowMs + this.delayMs());
    this.time.at(this.lastReplyMs, () => this.client.receive(message));
  }

  private delayMs(): number {
    // mostly quick, now and then slow
    const chance = this.random.next();
    return this.weather.leastMs + (this.weather.mostMs - this.weather.leastMs) * chance ** 3;
  }

  private prove(grant: Grant, sentAtMs: number): void {
    const name = proofOf(grant);
    const known = this.proofs.get(name);
    if (known && !known.isGiven && known.sentAtMs > sentAtMs) return;
    const { owner, ttlMs } = grant.claim;
    this.proofs.set(name, { owner, sentAtMs, untilMs: sentAtMs + ttlMs });
  }

  /** Of a shorter ttl, nobody can say whether the server has counted it already. */
  private shorten(grant: Grant, sentAtMs: number): void {
    const known = this.proofs.get(proofOf(grant));
    if (known) known.untilMs = Math.min(known.untilMs, sentAtMs + grant.claim.ttlMs);
  }
}

/** Of a request that was answered with a place. */
function signOf(sentAtMs: number, aliveUntil: number | undefined): SignOfLife | undefined {
  return aliveUntil === undefined ? undefined : { sentAtMs, aliveUntil };
}

/** Names a proof by what a lease knows: the key as its caller wrote it, and the fence. */
export function proofOf({ claim, fence }: Pick<Grant, 'claim' | 'fence'>): string {
  return `${claim.key.slice(claim.key.indexOf(':') + 1)} ${fence}`;
}

function show(fate: Fate): string {
  const marks = Object.entries(fate).filter(([, applies]) => applies === true);
  return marks.map(([mark]) => `, ${mark}`).join('');
}

function nameOf({ key, owner }: Claim): string {
  return `${key} of ${short(owner)}`;
}

/** Without what is different in each run. */
function short(owner: string): string {
  return owner.replace(/~\w+-/, '~');
}
