import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { commandsSent } from './command-count.js';
import {
  idOf,
  TTL_MS,
  type Contestant,
  type LockInstance,
  type ServerName,
} from './contestants/contestant.js';
import { collectGarbage } from './garbage.js';
import { Replica } from './replica.js';
import type { Servers } from './server.js';

/** `--quick`: everything is done this much less often. */
const QUICK = 10;
const QUICK_PROCESSES = 2;
const QUICK_CALLERS = 50;
const QUICK_LIMIT_MS = 2_000;

/** Until the server has done what the last discipline left to it. */
const QUIET_MS = 50;

const CLOSE_LIMIT_MS = 2_000;

/** What the disciplines are run on: the servers, and the instances and processes of all contestants. */
export class Rig {
  private readonly instances = new Map<string, Promise<LockInstance>>();
  private readonly replicas = new Map<string, Replica>();
  private readonly admin: Redis;
  private keys = 0;

  constructor(
    private readonly servers: Servers,
    readonly quick: boolean,
  ) {
    this.admin = new Redis(servers.urlOf('redis'));
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
    const id = idOf(contestant);
    let instance = this.instances.get(id);
    if (!instance) {
      const url = this.servers.urlOf(contestant.server);
      instance = contestant.load().then((open) => open(url, TTL_MS));
      this.instances.set(id, instance);
    }
    return instance;
  }

  /** Counts the commands that this process sends to the server, until the result is called. */
  countCalls(): () => number {
    const before = commandsSent();
    return () => commandsSent() - before;
  }

  /**
   * The first, or another, process in which this contestant alone, and what it is compared with, runs. `--quick` has
   * them share it, as the crowd does: to start one takes longer than what is measured then.
   */
  replica(contestant: Contestant, number = 0): Replica {
    if (this.quick && !contestant.litters)
      return this.replicaAt(`all ${contestant.server} ${number}`, contestant.server);
    return this.replicaAt(`${idOf(contestant)} ${number}`, contestant.server);
  }

  /**
   * So many processes, for all contestants on a server to run in: there are too many for each to have its own. Those who litter
   * have their own all the same, because theirs are replaced all the time.
   */
  crowd(contestant: Contestant, processes: number): Replica[] {
    const { server, litters = false } = contestant;
    const owner = litters ? idOf(contestant) : `all ${server}`;
    const length = this.quick ? QUICK_PROCESSES : processes;
    return Array.from({ length }, (_, number) => this.replicaAt(`${owner} ${number}`, server));
  }

  /** Does something in a process of its own, about locks on Redis. */
  async inFreshReplica<Result>(work: (replica: Replica) => Promise<Result>): Promise<Result> {
    const replica = new Replica(this.servers.urlOf('redis'));
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

  /** What so many cycles take in that process, all of their time: it counts on the other side too. */
  idealMs(bare: Contestant, replica: Replica, times: number): Promise<number> {
    return replica.ask('cycles', { contestant: idOf(bare), key: this.freshKey(), times });
  }

  /** Processor time of Redis so far, in ms. */
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

  /** What somebody cannot close in time ends with this process. */
  async close(): Promise<void> {
    await Promise.all([...this.replicas.values()].map((replica) => replica.kill()));
    const closed = [...this.instances.values()].map(async (instance) => (await instance).close());
    await Promise.race([Promise.allSettled(closed), sleep(CLOSE_LIMIT_MS)]);
    this.admin.disconnect();
  }

  private replicaAt(name: string, server: ServerName): Replica {
    let replica = this.replicas.get(name);
    if (!replica) {
      replica = new Replica(this.servers.urlOf(server));
      this.replicas.set(name, replica);
    }
    return replica;
  }
}
