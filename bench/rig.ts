import { commandsSent } from './command-count.js';
import type { Contestant, LockInstance } from './contestants/contestant.js';
import { Crowd } from './crowd.js';

/** `--quick`: everything is done this much less often. */
const QUICK = 10;

/** What the disciplines are run on: one server, and the instances of all contestants, opened once. */
export class Rig {
  private readonly instances = new Map<string, Promise<LockInstance>>();
  private people: Crowd | undefined;
  private keys = 0;

  constructor(
    readonly url: string,
    private readonly quick: boolean,
  ) {}

  /** How often something is done that is usually done `times` times. */
  size(times: number): number {
    return this.quick ? Math.ceil(times / QUICK) : times;
  }

  /** A key that nobody used before. */
  freshKey(): string {
    return `bench:${(this.keys++).toString(36)}`;
  }

  /** The first, or another, service instance of a contestant. */
  instance(contestant: Contestant, number = 0): Promise<LockInstance> {
    const name = `${contestant.name} ${number}`;
    let instance = this.instances.get(name);
    if (!instance) {
      instance = contestant.open(this.url);
      this.instances.set(name, instance);
    }
    return instance;
  }

  /** Counts the commands that this process sends to the server, until the result is called. */
  countCalls(): () => number {
    const before = commandsSent();
    return () => commandsSent() - before;
  }

  crowd(processes: number): Crowd {
    return (this.people ??= new Crowd(this.url, processes));
  }

  async close(): Promise<void> {
    const opened = await Promise.all(this.instances.values());
    await Promise.all(opened.map((instance) => instance.close()));
    await this.people?.close();
  }
}
