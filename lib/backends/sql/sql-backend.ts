import { BackendError } from '../backend-error.js';
import { BackendUsers } from '../backend-users.js';
import { abandoned, assertPossible } from '../denied-claim.js';
import { HandOffs, type HandOff } from '../hand-off.js';
import type { HintListener } from '../hints.js';
import type {
  BackendContext,
  BackendTraits,
  Claim,
  Grant,
  LockBackend,
  LockSnapshot,
  NodeHealth,
  Place,
  RenewOutcome,
} from '../lock-backend.js';
import { WaitingPlace } from '../waiting-place.js';
import { Poller } from './poller.js';
import { keyOf, letterOf, readClaim, readSnapshot } from './sql-reply.js';
import type { OpenSqlSession, SqlSession, SqlValue } from './sql-session.js';
import { Sweeper } from './sweeper.js';

/** So many leases or places are kept in one statement. */
const BATCH = 1_000;
/** A claim that arrives after it was abandoned is refused for so long. */
const ABANDONED_MS = 60_000;
const PAGE = 250;
const HEALTH_LIMIT_MS = 1_000;
/** Above every character that a key may have. */
const LAST = '\x7f';

const RENEWALS = new Map<string, RenewOutcome>([
  ['0', 'gone'],
  ['1', 'renewed'],
]);

/** What distinguishes one database from another, for the core. */
export interface SqlTraits extends Pick<BackendTraits, 'name' | 'wakeUp' | 'pollMs'> {
  readonly lockDelayMs: number;
}

/** Locks in the tables of a database. Each verb is one statement, so one atomic step. */
export class SqlBackend implements LockBackend {
  readonly traits: BackendTraits & SqlTraits;
  private readonly users: BackendUsers;
  private opening: Promise<SqlSession> | undefined;
  private session: SqlSession | undefined;
  private sweeper: Sweeper | undefined;
  /** Where nobody tells this process of its turns. */
  private poller: Poller | undefined;
  private readonly handOffs = new HandOffs();

  constructor(
    traits: SqlTraits,
    private readonly open: OpenSqlSession,
  ) {
    const modes = ['exclusive', 'shared', 'permits'] as const;
    this.traits = { ...traits, modes, fence: 'strict', remote: true };
    this.users = new BackendUsers(traits.name);
  }

  async start(context: BackendContext): Promise<void> {
    this.users.add(context);
    try {
      this.opening ??= this.open(this.users.asOne(context));
      this.session = await this.opening;
      this.sweeper ??= new Sweeper(this.session);
      if (this.session.channel === '') this.poller ??= new Poller(this.session);
    } catch (error) {
      this.opening = undefined;
      this.users.leave();
      throw error;
    }
  }

  claim(claim: Claim): Promise<Grant | Place> {
    return this.ask(claim);
  }

  async abandon({ key, owner }: Claim): Promise<void> {
    this.opened.hints.forget(owner);
    this.poller?.forget(owner);
    await this.step('abandon', key, [key, owner, ABANDONED_MS]);
  }

  async renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    const keys = grants.map(({ claim }) => claim.key);
    const owners = grants.map(({ claim }) => claim.owner);
    const ttls = grants.map(({ claim }) => claim.ttlMs);
    const answers = await this.inBatches('renew', keys, owners, ttls);
    return grants.map((_, nth) => RENEWALS.get(answers[nth] ?? '') ?? 'unknown');
  }

  async stay(claims: readonly Claim[]): Promise<readonly boolean[]> {
    const keys = claims.map(({ key }) => key);
    const owners = claims.map(({ owner }) => owner);
    const answers = await this.inBatches('stay', keys, owners);
    return claims.map((_, nth) => answers[nth] !== '0');
  }

  release({ claim }: Grant, lingerMs = 0, followed = false): Promise<'released' | 'gone'> {
    const send = (): Promise<'released' | 'gone'> => this.sendRelease(claim, lingerMs);
    return followed && claim.mode === 'exclusive' && lingerMs === 0
      ? this.handOffs.release(claim, send)
      : send();
  }

  async inspect(key: string): Promise<LockSnapshot | null> {
    const [row] = await this.step('list', key, [key, key, 1]);
    return row === undefined ? null : readSnapshot(row);
  }

  async *list(prefix: string): AsyncGenerator<LockSnapshot> {
    let from = prefix;
    for (;;) {
      const rows = await this.step('list', prefix, [from, prefix + LAST, PAGE]);
      for (const row of rows) {
        const snapshot = readSnapshot(row);
        if (snapshot) yield snapshot;
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < PAGE) return;
      // the next one that there can be
      from = `${keyOf(last)}\x01`;
    }
  }

  async evict(key: string): Promise<boolean> {
    const [reply = ''] = await this.step('evict', key, [key]);
    const [found, ...owners] = reply.split(' ');
    // where the server tells nobody, at least those in this process hear of it at once
    for (const owner of owners) this.opened.hints.receive(`!${owner}`);
    return found === '1';
  }

  async nodes(limitMs = HEALTH_LIMIT_MS): Promise<readonly NodeHealth[]> {
    if (this.session) return this.session.health(limitMs);
    const { name } = this.traits;
    return [{ node: name, role: 'unknown', state: 'down', error: `The ${name} backend is not running.` }];
  }

  async stop(): Promise<void> {
    if (!this.users.leave()) return;
    this.handOffs.flush();
    const { session } = this;
    this.opening = undefined;
    this.session = undefined;
    this.sweeper = undefined;
    this.poller?.close();
    this.poller = undefined;
    await session?.close();
  }

  /** @internal One step of a claim. */
  async ask(claim: Claim, place?: WaitingPlace): Promise<Grant | Place> {
    assertPossible(claim);
    const sentAtMs = this.opened.clock.now();
    const handOff = this.handOffs.takeFor(claim);
    if (handOff) return this.answer(claim, await this.passOn(handOff, claim), sentAtMs, place);
    const [reply = ''] = await this.step('claim', claim.key, this.wishOf(claim));
    return this.answer(claim, reply, sentAtMs, place);
  }

  /** @internal */
  listen(claim: Claim, listener: HintListener): void {
    if (!claim.queue) return;
    if (this.poller) this.poller.listen(claim, listener);
    else this.session?.hints.listen(claim.owner, listener);
  }

  private answer(
    claim: Claim,
    reply: string,
    sentAtMs: number,
    place: WaitingPlace | undefined,
  ): Grant | Place {
    const read = readClaim(reply);
    if (read === 'abandoned') throw abandoned(claim);
    if ('busy' in read) {
      this.poller?.asked(claim.owner);
      if (!place) return new WaitingPlace(this, claim, read.busy);
      place.goesOn(read.busy);
      return place;
    }
    if (place) this.session?.hints.forget(claim.owner);
    this.poller?.forget(claim.owner);
    this.sweeper?.granted();
    return { claim, fence: read.fence, sentAtMs };
  }

  private async sendRelease({ key, owner }: Claim, lingerMs = 0): Promise<'released' | 'gone'> {
    const [reply] = await this.opened.step('release', key, [key, owner, lingerMs]);
    return reply === '1' ? 'released' : 'gone';
  }

  /** Release and claim in one step, on behalf of both; what the claim was answered. */
  private async passOn(handOff: HandOff, claim: Claim): Promise<string> {
    const reply = this.opened.step('pass', claim.key, [handOff.owner, ...this.wishOf(claim)]);
    handOff.pass(reply.then(([both]) => (both?.startsWith('1') ? 'released' : 'gone')));
    const [both = ''] = await reply;
    return both.slice(2);
  }

  /** As the statements take a claim. */
  private wishOf(claim: Claim): SqlValue[] {
    const { key, owner, take, of, ttlMs, queue } = claim;
    const { lockDelayMs } = this.traits;
    return [key, owner, letterOf(claim), take, of, ttlMs, lockDelayMs, queue, this.opened.channel];
  }

  /** One digit for each, in the order of the columns. */
  private async inBatches(
    verb: 'renew' | 'stay',
    keys: readonly string[],
    ...columns: readonly (readonly (string | number)[])[]
  ): Promise<string> {
    let answers = '';
    for (let at = 0; at < keys.length; at += BATCH) {
      const batch = [keys, ...columns].map((column) => column.slice(at, at + BATCH));
      const what = keys.length === 1 ? (keys[0] ?? '') : `${keys.length} locks`;
      const [reply = ''] = await this.step(verb, what, batch);
      answers += reply;
    }
    return answers;
  }

  private step(
    verb: Parameters<SqlSession['step']>[0],
    what: string,
    given: readonly SqlValue[],
  ): Promise<readonly string[]> {
    this.handOffs.flush();
    return this.opened.step(verb, what, given);
  }

  private get opened(): SqlSession {
    if (this.session) return this.session;
    throw new BackendError(
      `The ${this.traits.name} backend is not running: start it before use, and stop it after.`,
      'denied',
    );
  }
}
