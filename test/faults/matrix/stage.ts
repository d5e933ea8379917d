import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../support/until.js';
import { LeakJudge, type Countable } from '../judges/leaks.js';
import { Random } from '../simulator/random.js';
import type { Actor, Attempt } from './actor.js';
import type { Company } from './company.js';
import type { Invariant } from './fault-table.js';
import { History } from './history.js';
import { nowMs } from './monotonic.js';
import { PREFIX } from './company.js';
import type { Road } from './road.js';
import type { Starvation } from './starvation.js';
import type { World } from './world.js';

/** Long enough that a starved machine does not end a lease, short enough that cells are quick. */
const TTL_MS = 1_000;
const LONG_WAIT_MS = 30_000;
const TOLD_MS = 100;
const POLLED_MS = 1_000;
/** When something is waited for that should come at once, by a machine that may be busy. */
const PATIENCE_MS = 20_000;

/** Something that may not be, and which promise it breaks. */
export interface Blame {
  readonly invariant: Invariant;
  readonly text: string;
}

/** The usual scene: one holds the key, another waits for it. */
export interface Scene {
  readonly lock: Attempt;
  readonly waiting: Attempt;
}

/** Where one run of one cell is played: its world, its actors, its dice, and what is to be judged of it. */
export class Stage {
  readonly ttlMs = TTL_MS;
  readonly blames: Blame[] = [];
  readonly figures = new Map<string, number>();
  readonly history: History;
  readonly roll: () => number;
  readonly startMs = nowMs();
  /** When the servers and the ways to them were well again: nothing is owed to anybody before. */
  healedMs = -Infinity;
  /** How soon a free key has to be taken. */
  wakeUpMs: number;
  /** That two believe to hold is counted, and is no violation. */
  mayBeDouble = false;
  /** Keys that are free later than their holders' ends say. */
  readonly freeFrom = new Map<string, number>();
  actors: readonly Actor[] = [];
  /** Others call their errors as they like, and hear no messages. */
  readonly isOurs: boolean;
  /** Of this run alone. */
  private readonly extras: Actor[] = [];
  private leaks: LeakJudge | undefined;

  constructor(
    readonly world: World,
    readonly company: Company,
    readonly starvation: Starvation,
    /** Contained in all of its keys, and in no other run's. */
    readonly stem: string,
    /** Counted from 0: cells with several variants take them in turn. */
    readonly run: number,
    seed: number,
  ) {
    this.wakeUpMs = world.isPolled ? POLLED_MS : TOLD_MS;
    const random = new Random(seed);
    this.roll = () => random.next();
    this.history = new History(stem, PREFIX);
    this.isOurs = company.library === 'interlock';
  }

  /** All who have entered. */
  get everybody(): readonly Actor[] {
    return [...this.actors, ...this.extras];
  }

  key(name = 'key'): string {
    return `${this.stem}:${name}`;
  }

  async enter(count: number): Promise<void> {
    this.actors = await this.company.cast(count);
    for (const actor of this.actors) this.listenTo(actor);
    this.leaks = await LeakJudge.at(this.countables());
  }

  /** One more actor, for this run alone; on a road of its own, if none is given. */
  async extra(road?: Road): Promise<Actor> {
    const actor = await this.company.extra(road);
    this.extras.push(actor);
    for (const line of actor.opening) this.history.take(actor.name, line);
    this.listenTo(actor);
    return actor;
  }

  /** How long it was, and a violation when it was too long. `starving` is what a busy machine adds. */
  judge(invariant: Invariant, what: string, ms: number, limitMs: number, starvingMs: number): void {
    this.note(what, ms);
    if (ms - starvingMs > limitMs)
      this.blame(
        invariant,
        `${what} ${ms.toFixed(0)} ms instead of ${limitMs} (starved for ${starvingMs.toFixed(0)} of them)`,
      );
  }

  blame(invariant: Invariant, text: string): void {
    this.blames.push({ invariant, text });
  }

  /** Unless these actors could not run for so long that their leases had to end. */
  blameUnlessStarved(invariant: Invariant, text: string, actors: readonly Actor[], fromMs: number): void {
    const stolenMs = this.stolenMs(actors, fromMs);
    this.note('starved', stolenMs);
    if (stolenMs < this.ttlMs / 4) this.blame(invariant, `${text} (starved for ${stolenMs.toFixed(0)} ms)`);
  }

  /** The worst of all is kept. */
  note(figure: string, value: number): void {
    this.figures.set(figure, Math.max(value, this.figures.get(figure) ?? -Infinity));
  }

  healed(): void {
    this.healedMs = nowMs();
  }

  stolenMs(actors: readonly (Actor | string)[], fromMs: number, toMs = nowMs()): number {
    const names = actors.map((actor) => (typeof actor === 'string' ? actor : actor.name));
    const pids = this.everybody.filter(({ name }) => names.includes(name)).map(({ pid }) => pid);
    return this.starvation.stolenMs(pids, this.world.pids(), fromMs, toMs);
  }

  async hold(actor: Actor, key = this.key(), more: { service?: string } = {}): Promise<Attempt> {
    const lock = actor.acquire(key, { ttlMs: this.ttlMs, waitMs: 5_000, ...more });
    if (!(await lock.granted)) throw new Error(`${key} was not granted: ${this.whyNot(lock)}`);
    return lock;
  }

  /** One acquires and writes; another one waits in line, and takes its turn when it comes. */
  async scene(
    holder: Actor,
    waiter: Actor,
    key = this.key(),
    more: { service?: string } = {},
  ): Promise<Scene> {
    const lock = await this.hold(holder, key, more);
    await holder.with('write', lock);
    return { lock, waiting: await this.wait(waiter, key, true, more) };
  }

  /** Resolves when it stands in the line. */
  async wait(actor: Actor, key = this.key(), turn = true, more: { service?: string } = {}): Promise<Attempt> {
    const before = (await this.waitingFor(actor, key)) ?? 0;
    const waiting = actor.acquire(key, { ttlMs: this.ttlMs, waitMs: LONG_WAIT_MS, turn, ...more });
    // or has it, when the holder was starved out of its lease
    let isOver = false;
    void waiting.granted.then(() => (isOver = true));
    const inLine = async (): Promise<boolean> =>
      isOver || ((await this.waitingFor(actor, key)) ?? Infinity) > before;
    await until(inLine, `${actor.name} waits for ${key}`, PATIENCE_MS);
    return waiting;
  }

  /** That the wait comes to its end so soon after everything was well, or after `fromMs`. */
  async served(waiting: Attempt, limitMs: number, fromMs = this.healedMs): Promise<void> {
    const isServed = await within(limitMs + PATIENCE_MS, waiting.granted);
    const holding = this.history.holdings.get(waiting.id);
    if (!holding || !isServed) {
      this.blame('I6', `${waiting.id} was not served: ${this.whyNot(waiting)}`);
      return;
    }
    const { actor, retMs } = holding;
    this.judge('I6', 'take-over', retMs - fromMs, limitMs, this.stolenMs([actor], fromMs, retMs));
  }

  /** That everybody can work again, so soon after everything was well. */
  async recover(limitMs: number, actors: readonly Actor[] = this.actors, service?: string): Promise<void> {
    const fromMs = this.healedMs;
    const cycle = async (actor: Actor): Promise<void> => {
      for (let nth = 0; ; nth++) {
        const key = this.key(`after-${actor.name}-${nth}`);
        const asking = { ttlMs: this.ttlMs, waitMs: 1_000, ...(service !== undefined && { service }) };
        const attempt = actor.acquire(key, asking);
        const isGranted = await within(2 * PATIENCE_MS, attempt.granted);
        if (isGranted === undefined) return this.blame('I8', `${attempt.id} was never answered`);
        const ms = nowMs() - fromMs;
        if (isGranted && (await actor.release(attempt)) === true) {
          this.judge('I6', 'recovery', ms, limitMs, this.stolenMs([actor], fromMs));
          return;
        }
        if (ms > limitMs + PATIENCE_MS)
          return this.blame('I6', `${actor.name} does not recover: ${this.whyNot(attempt)}`);
        await sleep(20);
      }
    };
    await Promise.all([...new Set(actors)].filter(({ alive }) => alive).map(cycle));
  }

  /** Whoever still holds something gives it back. */
  async goHome(): Promise<void> {
    const living = new Map(this.everybody.filter(({ alive }) => alive).map((actor) => [actor.name, actor]));
    await Promise.all(
      [...this.history.holdings].map(async ([id, { actor, key, releasingMs, diedMs }]) => {
        if (releasingMs !== undefined || diedMs !== undefined) return;
        await living.get(actor)?.release({ id, key, granted: Promise.resolve(true) });
      }),
    );
  }

  /** That nothing is left that was not there before; what a ttl has to clean up may take that long. */
  async lookForLeaks(): Promise<void> {
    const endMs = nowMs() + 2 * this.ttlMs + 1_000;
    for (;;) {
      const found = (await this.leaks?.leaks()) ?? [];
      if (found.length === 0) return;
      if (nowMs() > endMs) return found.forEach((leak) => this.blame('I5', leak));
      await sleep(50);
    }
  }

  async leave(): Promise<void> {
    for (const actor of this.everybody) {
      if (actor.alive) await actor.ask({ do: 'forget' });
      actor.history = undefined;
    }
  }

  whyNot({ id }: Attempt): string {
    const refusal = this.history.refusals.find((candidate) => candidate.id === id);
    return refusal ? `${refusal.error}: ${refusal.message}` : 'there is no answer';
  }

  private listenTo(actor: Actor): void {
    actor.history = this.history;
  }

  private countables(): Countable[] {
    const kinds = ['held', 'waiting', 'owed', 'timers', 'sockets'];
    const countables = [...new Set(this.actors)].flatMap((actor) =>
      kinds.map((kind) => ({
        what: `${kind} of ${actor.name}`,
        count: () => this.countOf(actor, kind),
      })),
    );
    const keys = { what: 'keys on the servers', count: () => this.world.leftovers(this.stem) };
    return [...countables, keys];
  }

  /** Processes that wait, as the server says; within one process, and where a server cannot say that, its callers. */
  private async waitingFor(actor: Actor, key: string): Promise<number | undefined> {
    const state = this.world.isOneProcess ? undefined : await actor.inspect(key);
    return state ? state.waiting : (await actor.count())['waiting'];
  }

  private async countOf(actor: Actor, kind: string): Promise<number> {
    const count = actor.alive ? ((await actor.count())[kind] ?? 0) : 0;
    const { connections, idleTimers } = this.world;
    if (kind === 'timers') return Math.max(count, idleTimers);
    // and one to the guarded resource
    return kind === 'sockets' ? Math.max(count, connections + 1) : count;
  }
}

/** Undefined when it takes longer. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  const timer = new AbortController();
  try {
    return await Promise.race([promise, sleep(ms, undefined, { signal: timer.signal })]);
  } finally {
    timer.abort();
  }
}
