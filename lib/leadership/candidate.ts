import { AsyncResource } from 'node:async_hooks';
import type { Clock } from '../core/clock.js';
import { NotLeaderError } from '../core/errors.js';
import type { HeldLease } from '../core/lease.js';
import type { LockOptions } from '../core/options.js';
import { pause, settledWithin } from '../scheduling/bounded.js';
import { leaderKey, type Election } from './leadership-settings.js';
import { Term, type Leadership, type TermHost } from './term.js';

/** What an election needs of the lock service. */
export interface ElectionHost extends TermHost {
  readonly clock: Clock;
  contest(key: string, options: LockOptions, identity?: string): Promise<HeldLease>;
}

/** Whoever wants to know how the elections of a group go. None of these may throw. */
export interface Voters {
  /** Called at once with a new term; what it returns belongs to the work of the term. */
  elected(term: Term): Promise<void>;
  /** Called once for each `elected`, when the term is over and its work is done; the lock is kept meanwhile. */
  deposed(leadership: Leadership): Promise<void>;
  /** The lock has been given back. */
  gone(): void;
  /** Something went wrong, and the campaign goes on. */
  failed(error: unknown): void;
}

const LONGEST_BACKOFF_MS = 5_000;

/**
 * Stands for election in one group, again and again, until it is closed: waits for the lock, leads, steps down, gives
 * the lock back. It waits in the line of the lock service, which lasts through outages without end.
 */
export class Candidate {
  private reign: Term | undefined;
  private campaign: Promise<void> | undefined;
  /** Resolves when the present term has been wound up. */
  private stepping: Promise<void> | undefined;
  private readonly retiring = new AbortController();
  /** What it calls back is in nobody's request. */
  private readonly root = new AsyncResource('nestjs-interlock.campaign');

  constructor(
    readonly group: string,
    private readonly host: ElectionHost,
    private readonly election: Election,
    private readonly name: string,
    private readonly voters: Voters,
  ) {}

  /** The term, while this replica leads. */
  get term(): Term | undefined {
    const { reign } = this;
    return reign?.holds ? reign : undefined;
  }

  start(): void {
    this.campaign ??= this.root.runInAsyncScope(() => this.run());
  }

  /** Ends the term, if there is one; resolves when the lock has been given back. */
  async resign(): Promise<boolean> {
    const { reign } = this;
    if (!reign?.holds) return false;
    const { group, term } = reign;
    reign.end(
      new NotLeaderError(`This replica has resigned as the leader of "${group}" (term ${term}).`, { group }),
    );
    await this.stepping;
    return true;
  }

  /** No further elections; a term goes on. */
  retire(): void {
    if (this.retiring.signal.aborted) return;
    const { group } = this;
    const message = `This replica stands for election in "${group}" no more: the application is closing.`;
    this.retiring.abort(new NotLeaderError(message, { group }));
  }

  /** The end, with the lock given back. */
  async close(): Promise<void> {
    this.retire();
    await this.resign();
    await this.campaign;
  }

  private async run(): Promise<void> {
    const { clock } = this.host;
    const { signal } = this.retiring;
    let backoffMs = this.election.retryMs;
    while (!signal.aborted) {
      try {
        const lease = await this.win();
        this.stepping = this.lead(lease);
        await this.stepping;
        backoffMs = this.election.retryMs;
        // whoever else stands there comes first
        await pause(clock, this.election.retryMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        this.voters.failed(error);
        await pause(clock, backoffMs, signal);
        backoffMs = Math.max(backoffMs, Math.min(LONGEST_BACKOFF_MS, backoffMs * 2));
      }
    }
  }

  private win(): Promise<HeldLease> {
    const pattern = leaderKey(this.group);
    const options = { ttl: this.election.ttlMs, wait: Infinity, signal: this.retiring.signal, pattern };
    return this.host.contest(leaderKey(this.group), options, this.name);
  }

  private async lead(lease: HeldLease): Promise<void> {
    const term = new Term(this.group, lease, this.host, this.election);
    try {
      // granted in the very moment of the end: nobody has heard of it
      if (this.retiring.signal.aborted || !term.holds) return;
      this.reign = term;
      void term.run(() => this.voters.elected(term));
      await term.over;
      await this.windUp(term);
    } finally {
      term.end(
        new NotLeaderError(`The term ${term.term} of "${this.group}" is over.`, { group: this.group }),
      );
      await term.giveBack();
      if (this.reign === term) {
        this.reign = undefined;
        this.voters.gone();
      }
    }
  }

  /** The work of the term first, then those who are told of its end; each has half of the time at least. */
  private async windUp(term: Term): Promise<void> {
    const { clock } = this.host;
    const { stepDownMs } = this.election;
    const endMs = clock.now() + stepDownMs;
    await term.settle(stepDownMs / 2);
    await settledWithin(clock, Math.max(0, endMs - clock.now()), this.voters.deposed(term));
  }
}
