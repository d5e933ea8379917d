import { afterEach, expect } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { LeaderService, LockService, type LeadershipSettings, type LockEvent } from 'nestjs-interlock';
import { faulty, ManualClock, type FaultyBackend } from 'nestjs-interlock/testing';
import { memory, MemoryServer } from '../../lib/backends/memory/index.js';

/** One replica: its locks, its elections, and what stands between it and the server. */
export interface Member {
  readonly name: string;
  readonly locks: LockService;
  readonly leaders: LeaderService;
  readonly backend: FaultyBackend;
  readonly events: readonly LockEvent[];
}

// what goes wrong here goes wrong on purpose
Logger.overrideLogger(false);

const open: Troupe[] = [];

/** Replicas with elections on one server, on a clock that stands still. After the test nothing may be left of them. */
export class Troupe {
  readonly clock = new ManualClock(10_000);
  readonly server = new MemoryServer({ clock: this.clock });
  private readonly members: Member[] = [];
  private readonly dead = new Set<string>();
  private readonly closers = new Map<string, () => Promise<void>>();

  constructor() {
    open.push(this);
  }

  /** A replica that has started, but stands for no election yet. */
  async member(
    settings: LeadershipSettings = {},
    name = `replica-${this.members.length + 1}`,
  ): Promise<Member> {
    const backend = faulty(memory({ server: this.server }));
    const locks = new LockService(backend, { clock: this.clock, identity: name });
    const events: LockEvent[] = [];
    locks.events$.subscribe((event) => void events.push(event));
    const leaders = new LeaderService(locks, settings);
    const member = { name, locks, leaders, backend, events };
    this.members.push(member);
    await locks.onModuleInit();
    leaders.onApplicationBootstrap();
    return member;
  }

  /** It is not heard of any more, and hears nothing; its timers go on, which nobody can tell from outside. */
  cutOff(member: Member): void {
    member.backend.plan = () => 'hang';
  }

  heal(member: Member): void {
    member.backend.plan = [];
  }

  /** Something more that ends with a replica. */
  alsoCloses({ name }: Member, closer: () => Promise<void>): void {
    this.closers.set(name, closer);
  }

  /** As `app.close()` does it. */
  async shutDown(member: Member): Promise<void> {
    const { name, locks, leaders } = member;
    this.dead.add(name);
    const closer = this.closers.get(name);
    const closed = Promise.all([locks.onModuleDestroy(), leaders.onModuleDestroy(), closer?.()])
      .then(() => locks.onApplicationShutdown())
      .then(() => true);
    const step = (): Promise<boolean> => this.clock.advance(50).then(() => false);
    while (!(await Promise.race([closed, step()])));
  }

  /** Lets time pass in small steps until it is so; fails when that takes longer than `limitMs`. */
  async until(isSo: () => boolean, limitMs: number): Promise<number> {
    const startMs = this.clock.now();
    await this.clock.settle();
    while (!isSo() && this.clock.now() - startMs < limitMs) await this.clock.advance(5);
    expect({ isSo: isSo(), limitMs }).toEqual({ isSo: true, limitMs });
    return this.clock.now() - startMs;
  }

  async close(): Promise<void> {
    for (const member of this.members) {
      this.heal(member);
      if (!this.dead.has(member.name)) await this.shutDown(member);
      expect(member.locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
    }
    // calls that were swallowed are given up at their own deadline
    await this.clock.advance(60_000);
    expect({ timers: this.clock.pendingTimers, keys: this.server.size.keys }).toEqual({ timers: 0, keys: 0 });
  }
}

afterEach(async () => {
  for (const troupe of open.splice(0)) await troupe.close();
});
