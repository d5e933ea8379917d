import { BackendError } from '../../../lib/backends/backend-error.js';
import type {
  BackendContext,
  BackendTraits,
  Busy,
  Claim,
  Grant,
  LockBackend,
  LockMode,
  LockSnapshot,
  NodeHealth,
  Place,
  RenewOutcome,
} from '../../../lib/backends/lock-backend.js';
import type { HandedOver } from '../../../lib/backends/hints.js';
import type { Host } from './host.js';

/** What the server gets wrong on purpose. */
export type ServerFlaw =
  'release without compare' | 'claim forgets its owner' | 'no mark of the abandoned' | 'renew revives';

export interface Holder {
  readonly claim: Claim;
  readonly fence: bigint;
  /** By the server's clock. */
  endsAtMs: number;
  released: boolean;
}

/** A place in a line, by the server's clock. */
interface Waiter {
  readonly claim: Claim;
  seenAtMs: number;
  wake: Wake | undefined;
}

/** @param handedOver when the lock comes with the hint */
type Wake = (handedOver?: HandedOver) => void;

/** What the server of the simulator says beyond the contract, as one that hands locks over with the hint. */
export interface HandingOver extends LockBackend {
  /** Until when the place of that claim counts as alive. */
  standsUntil(claim: Claim): number | undefined;
  readonly silenceMs: number;
}

interface Key {
  holders: Holder[];
  line: Waiter[];
  /** Since when nobody holds it; by the server's clock. */
  freeSinceMs: number;
}

const MODES: readonly LockMode[] = ['exclusive', 'shared', 'permits'];

/**
 * A lock server written down from the contract of the seam alone, in the plainest way: a second opinion to
 * `lib/backends/memory`. Steps are synchronous. Fences are those of a server that may forget everything but the time.
 */
export class LockServer {
  /** Called right before a grant, with how long nobody had held the key. */
  onGrant: ((key: string, freeForMs: number) => void) | undefined;
  /** Called when a lock is handed over, with how long its first lease is. */
  onHandOver: ((claim: Claim, fence: bigint, leaseMs: number) => void) | undefined;
  private readonly keys = new Map<string, Key>();
  private readonly lastFences = new Map<string, bigint>();
  private readonly abandoned = new Set<string>();
  private readonly released = new Set<string>();
  private readonly doubters = new Set<(owner: string) => void>();

  constructor(
    private readonly host: Host,
    readonly pollMs: number,
    /** Gives a lock to the head of the line when it is released, and says so with the hint. */
    private readonly handsOver: boolean,
    private readonly flaw?: ServerFlaw,
  ) {}

  /** The server as one client sees it. */
  session(): HandingOver {
    return new Session(this);
  }

  connect(doubt: (owner: string) => void): void {
    this.doubters.add(doubt);
  }

  /** Loses all state but the time. */
  wipe(): void {
    for (const map of [this.keys, this.lastFences]) map.clear();
    for (const set of [this.abandoned, this.released]) set.clear();
  }

  /** After a restart nobody is listening any more, until they ask again. */
  hangUp(): void {
    for (const key of this.keys.values()) for (const waiter of key.line) waiter.wake = undefined;
  }

  /** All who hold a key as of now. */
  *holders(): Generator<Holder> {
    for (const name of this.keys.keys()) yield* this.at(name).holders;
  }

  /** The owners of all places in lines, as of now. */
  *waiters(): Generator<Claim> {
    for (const name of this.keys.keys()) for (const { claim } of this.at(name).line) yield claim;
  }

  /** For how long nobody has held it; 0 when somebody does. */
  freeForMs(name: string): number {
    if (!this.keys.has(name)) return Infinity;
    const { holders, freeSinceMs } = this.at(name);
    return holders.length > 0 ? 0 : this.host.now() - freeSinceMs;
  }

  claim(claim: Claim): Holder | { readonly busy: Busy } {
    if (this.flaw !== 'no mark of the abandoned' && this.abandoned.has(nameOf(claim))) {
      throw new BackendError('it was abandoned', 'denied');
    }
    if (claim.mode === 'permits' && claim.take > claim.of) throw new BackendError('too many', 'denied');
    const nowMs = this.host.now();
    const key = this.at(claim.key);
    const own = key.holders.find(({ claim: { owner }, released }) => owner === claim.owner && !released);
    if (own && this.flaw !== 'claim forgets its owner') {
      own.endsAtMs = nowMs + claim.ttlMs;
      return own;
    }
    const place = key.line.findIndex(({ claim: { owner } }) => owner === claim.owner);
    const before = place < 0 ? key.line : key.line.slice(0, place);
    const others = [...key.holders, ...before].map((other) => other.claim);
    if (fit([...others, claim])) return this.grant(key, claim, nowMs);
    if (claim.queue && place < 0) key.line.push({ claim, seenAtMs: nowMs, wake: undefined });
    const waiter = key.line[place];
    if (waiter) waiter.seenAtMs = nowMs;
    return { busy: this.busy(key, claim, before, nowMs) };
  }

  /** A sign of life; false for those who need not ask. */
  stay(claim: Claim): boolean {
    const key = this.at(claim.key);
    const place = key.line.findIndex(({ claim: { owner } }) => owner === claim.owner);
    const waiter = key.line[place];
    if (!waiter) return true;
    waiter.seenAtMs = this.host.now();
    const others = [...key.holders, ...key.line.slice(0, place)].map((other) => other.claim);
    return fit([...others, claim]);
  }

  standsUntil({ key, owner }: Claim): number | undefined {
    const waiter = this.keys.get(key)?.line.find(({ claim }) => claim.owner === owner);
    return waiter && waiter.seenAtMs + this.silenceMs;
  }

  listen({ key, owner }: Claim, wake: Wake): void {
    const waiter = this.keys.get(key)?.line.find(({ claim }) => claim.owner === owner);
    if (waiter) waiter.wake = wake;
  }

  abandon(claim: Claim): void {
    this.abandoned.add(nameOf(claim));
    const key = this.at(claim.key);
    const isOthers = (one: { claim: Claim; released?: boolean }): boolean =>
      one.claim.owner !== claim.owner || one.released === true;
    key.holders = key.holders.filter(isOthers);
    key.line = key.line.filter(isOthers);
    this.changed(key);
  }

  renew({ claim, fence }: Grant): RenewOutcome {
    const own = this.held(claim);
    const endsAtMs = this.host.now() + claim.ttlMs;
    if (own) own.endsAtMs = endsAtMs;
    const key = this.at(claim.key);
    const revives = !own && this.flaw === 'renew revives' && key.holders.length === 0;
    if (revives) key.holders.push({ claim, fence, endsAtMs, released: false });
    return own || revives ? 'renewed' : 'gone';
  }

  release({ claim }: Grant, lingerMs: number): 'released' | 'gone' {
    const key = this.at(claim.key);
    const own = this.flaw === 'release without compare' ? key.holders[0] : this.held(claim);
    if (!own) return this.released.has(nameOf(claim)) ? 'released' : 'gone';
    this.released.add(nameOf(claim));
    own.released = true;
    if (lingerMs > 0) own.endsAtMs = this.host.now() + lingerMs;
    else key.holders = key.holders.filter((holder) => holder !== own);
    if (!this.handOver(key)) this.changed(key);
    return 'released';
  }

  /** @param quietly as if somebody had deleted the key by hand: nobody is told */
  evict(name: string, quietly = false): Holder[] {
    const key = this.at(name);
    const evicted = key.holders;
    key.holders = [];
    if (quietly) key.freeSinceMs = this.host.now();
    else this.changed(key);
    for (const { claim, released } of evicted) {
      if (!released && !quietly) for (const doubt of this.doubters) doubt(claim.owner);
    }
    return evicted;
  }

  inspect(name: string): LockSnapshot | null {
    const { holders, line } = this.at(name);
    const claims = holders.length > 0 ? holders.map(({ claim }) => claim) : line.map(({ claim }) => claim);
    const [first] = claims;
    if (!first) return null;
    return {
      key: name,
      mode: first.mode,
      of: holders.length > 0 ? Math.min(...claims.map(({ of }) => of)) : first.of,
      holders: holders.map(({ claim, fence, endsAtMs }) => ({
        owner: claim.owner,
        take: claim.take,
        fence,
        expiresInMs: endsAtMs - this.host.now(),
      })),
      waiting: line.length,
    };
  }

  names(prefix: string): string[] {
    return [...this.keys.keys()].filter((name) => name.startsWith(prefix));
  }

  get silenceMs(): number {
    return 3 * this.pollMs + 100;
  }

  /** The state as of now: without leases that are over and waiters that show no life. */
  private at(name: string): Key {
    const nowMs = this.host.now();
    const key = this.keys.get(name) ?? { holders: [], line: [], freeSinceMs: nowMs };
    this.keys.set(name, key);
    const holders = key.holders.filter(({ endsAtMs }) => endsAtMs > nowMs);
    const line = key.line.filter(({ seenAtMs }) => seenAtMs + this.silenceMs > nowMs);
    if (holders.length < key.holders.length || line.length < key.line.length) {
      if (holders.length === 0 && key.holders.length > 0) {
        key.freeSinceMs = Math.max(...key.holders.map(({ endsAtMs }) => endsAtMs));
      }
      key.holders = holders;
      key.line = line;
      this.wakeNext(key);
    }
    return key;
  }

  /** Until the end of its place, by which somebody who heard of it can count. */
  private handOver(key: Key): boolean {
    const [head] = key.line;
    if (!this.handsOver || !head?.wake || key.holders.length > 0) return false;
    const { claim, seenAtMs, wake } = head;
    const nowMs = this.host.now();
    const aliveUntil = seenAtMs + this.silenceMs;
    if (claim.mode !== 'exclusive' || claim.firm || claim.ttlMs < this.silenceMs) return false;
    if (aliveUntil - nowMs < 1 || this.abandoned.has(nameOf(claim))) return false;
    key.freeSinceMs = nowMs;
    head.wake = undefined;
    const holder = this.grant(key, claim, nowMs);
    holder.endsAtMs = aliveUntil;
    this.onHandOver?.(claim, holder.fence, aliveUntil - nowMs);
    wake({ fence: holder.fence, aliveUntil });
    return true;
  }

  private held({ key, owner }: Claim): Holder | undefined {
    return this.at(key).holders.find(({ claim, released }) => claim.owner === owner && !released);
  }

  private grant(key: Key, claim: Claim, nowMs: number): Holder {
    this.onGrant?.(claim.key, key.holders.length > 0 ? 0 : nowMs - key.freeSinceMs);
    const last = this.lastFences.get(claim.key) ?? 0n;
    const clocked = BigInt(Math.floor(nowMs * 1_000));
    const fence = clocked > last ? clocked : last + 1n;
    this.lastFences.set(claim.key, fence);
    const holder: Holder = { claim, fence, endsAtMs: nowMs + claim.ttlMs, released: false };
    key.holders.push(holder);
    key.line = key.line.filter((waiter) => waiter.claim.owner !== claim.owner);
    this.wakeNext(key);
    return holder;
  }

  private busy(key: Key, claim: Claim, before: readonly Waiter[], nowMs: number): Busy {
    const ahead = before.length;
    const [head] = before;
    if (fit([...key.holders.map((holder) => holder.claim), claim])) {
      return { ahead, ...(head && { expiresInMs: head.seenAtMs + this.silenceMs - nowMs }) };
    }
    const ends = key.holders.map(({ endsAtMs }) => endsAtMs);
    const [holder] = key.holders;
    const endMs = holder?.claim.mode === claim.mode ? Math.min(...ends) : Math.max(...ends);
    return { ahead, ...(holder && { holder: holder.claim.owner }), expiresInMs: endMs - nowMs };
  }

  private changed(key: Key): void {
    if (key.holders.length === 0) key.freeSinceMs = this.host.now();
    this.wakeNext(key);
  }

  /** All who could come in now, were those before them in already. */
  private wakeNext({ holders, line }: Key): void {
    const claims = holders.map(({ claim }) => claim);
    for (const waiter of line) {
      claims.push(waiter.claim);
      if (!fit(claims)) return;
      waiter.wake?.();
    }
  }
}

/** Whether all of these may hold one key together. */
function fit(claims: readonly Claim[]): boolean {
  const [first, ...others] = claims;
  if (!first || others.some(({ mode }) => mode !== first.mode)) return !first;
  switch (first.mode) {
    case 'exclusive':
      return others.length === 0;
    case 'shared':
      return true;
    case 'permits':
      return claims.reduce((sum, { take }) => sum + take, 0) <= Math.min(...claims.map(({ of }) => of));
  }
}

function nameOf({ key, owner }: Claim): string {
  return `${key} ${owner}`;
}

class Session implements HandingOver {
  readonly traits: BackendTraits;

  constructor(private readonly server: LockServer) {
    const { pollMs } = server;
    this.traits = {
      name: 'simulated',
      modes: MODES,
      fence: 'clocked',
      wakeUp: 'queue',
      pollMs,
      remote: true,
    };
  }

  async start(context: BackendContext): Promise<void> {
    this.server.connect((owner) => context.doubt(owner));
  }

  async claim(claim: Claim): Promise<Grant | Place> {
    const answer = this.server.claim(claim);
    // when it was asked for is the client's to say
    if ('fence' in answer) return { claim, fence: answer.fence, sentAtMs: NaN };
    return {
      busy: answer.busy,
      onHint: (wake) => this.server.listen(claim, wake),
      retry: () => this.claim(claim),
    };
  }

  async abandon(claim: Claim): Promise<void> {
    this.server.abandon(claim);
  }

  async stay(claims: readonly Claim[]): Promise<readonly boolean[]> {
    return claims.map((claim) => this.server.stay(claim));
  }

  standsUntil(claim: Claim): number | undefined {
    return this.server.standsUntil(claim);
  }

  get silenceMs(): number {
    return this.server.silenceMs;
  }

  async renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    return grants.map((grant) => this.server.renew(grant));
  }

  async release(grant: Grant, lingerMs = 0): Promise<'released' | 'gone'> {
    return this.server.release(grant, lingerMs);
  }

  async inspect(key: string): Promise<LockSnapshot | null> {
    return this.server.inspect(key);
  }

  async *list(prefix: string): AsyncGenerator<LockSnapshot> {
    for (const key of this.server.names(prefix)) {
      const snapshot = this.server.inspect(key);
      if (snapshot) yield snapshot;
    }
  }

  async evict(key: string): Promise<boolean> {
    return this.server.evict(key).some(({ released }) => !released);
  }

  async nodes(): Promise<readonly NodeHealth[]> {
    return [{ node: 'simulated', role: 'only', state: 'up' }];
  }

  async stop(): Promise<void> {}
}
