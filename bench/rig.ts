import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { commandsSent } from './command-count.js';
import { bare } from './contestants/index.js';
import { TTL_MS, type Contestant, type LockInstance } from './contestants/contestant.js';
import { collectGarbage } from './garbage.js';
import { Replica } from './replica.js';

/** `--quick`: everything is done this much less often. */
const QUICK = 10;
const QUICK_PROCESSES = 2;
const QUICK_CALLERS = 50;
const QUICK_LIMIT_MS = 2_000;

/** Until the server has done what the last discipline left to it. */
const QUIET_MS = 50;

/** What the disciplines are run on: one server, and the instances and processes of all contestants. */
export class Rig {
  private readonly instances = new Map<string, Promise<LockInstance>>();
  private readonly replicas = new Map<string, Replica>();
  private readonly admin: Redis;
  private keys = 0;

  constructor(
    readonly url: string,
    readonly quick: boolean,
  ) {
    this.admin = new Redis(url);
  }

  /** How often, or for how long, something is done that is usually done so often. */
  size(times: number): number {
    return this.quick ? Math.ceil(times / QUICK) : times;
  }

  /** How many callers a herd has. */
  callers(usually: number): number {
    return this.quick ? Math.min(QUICK_CALLERS, Math.max(2, this.size(usually))) : usually;
  }

  /** How long is waited for those who may never come to an end. */
  limitMs(usuallyMs: number): number {
    return this.quick ? QUICK_LIMIT_MS : usuallyMs;
  }

  /** A key that nobody used before. */
  freshKey(): string {
    return `bench:${(this.keys++).toString(36)}`;
  }

  /** The instance that this process has of a contestant. */
  instance(contestant: Contestant): Promise<LockInstance> {
    let instance = this.instances.get(contestant.name);
    if (!instance) {
      instance = contestant.load().then((open) => open(this.url, TTL_MS));
      this.instances.set(contestant.name, instance);
    }
    return instance;
  }

  /** Counts the commands that this process sends to the server, until the result is called. */
  countCalls(): () => number {
    const before = commandsSent();
    return () => commandsSent() - before;
  }

  /** The first, or another, process in which this contestant alone, and what it is compared with, runs. */
  replica({ name }: Contestant, number = 0): Replica {
    return this.replicaAt(`${name} ${number}`);
  }

  /**
   * So many processes, for all contestants to run in: there are too many for each to have its own. Those who litter
   * have their own all the same, because theirs are replaced all the time.
   */
  crowd({ name, litters = false }: Contestant, processes: number): Replica[] {
    const owner = litters ? name : 'all';
    const length = this.quick ? QUICK_PROCESSES : processes;
    return Array.from({ length }, (_, number) => this.replicaAt(`${owner} ${number}`));
  }

  /** Does something in a process of its own. */
  async inFreshReplica<Result>(work: (replica: Replica) => Promise<Result>): Promise<Result> {
    const replica = new Replica(this.url);
    try {
      return await work(replica);
    } finally {
      await replica.kill();
    }
  }

  /** Ends a process with all that is left in it; the next one who wants it gets another. */
  async replace(replica: Replica): Promise<void> {
    for (const [name, known] of this.replicas) if (known === replica) this.replicas.delete(name);
    await replica.kill();
  }

  /** After each turn in which somebody waited. */
  async tidy({ litters = false }: Contestant, ...replicas: readonly Replica[]): Promise<void> {
    if (litters) await Promise.all(replicas.map((replica) => this.replace(replica)));
  }

  /** What so many cycles of `bare` take in that process, all of their time: it counts on the other side too. */
  idealMs(replica: Replica, times: number): Promise<number> {
    return replica.ask('cycles', { contestant: bare.name, key: this.freshKey(), times });
  }

  /** Processor time of the server so far, in ms. */
  async serverCpuMs(): Promise<number> {
    const info = await this.admin.info('cpu');
    const seconds = (name: string): number => Number(new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1]);
    return 1000 * (seconds('used_cpu_user') + seconds('used_cpu_sys'));
  }

  /** Before each discipline: nothing of the last one is left. */
  async quiet(): Promise<void> {
    await this.admin.flushall();
    await sleep(QUIET_MS);
    collectGarbage();
  }

  /** What this process itself has open ends with it. */
  async close(): Promise<void> {
    await Promise.all([...this.replicas.values()].map((replica) => replica.kill()));
    this.admin.disconnect();
  }

  private replicaAt(name: string): Replica {
    let replica = this.replicas.get(name);
    if (!replica) {
      replica = new Replica(this.url);
      this.replicas.set(name, replica);
    }
    return replica;
  }
}
