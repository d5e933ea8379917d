import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { of, type Observable } from 'rxjs';
import { LockConfigurationError, NotLeaderError, show, type LeaderInfo } from '../core/errors.js';
import type { LockService } from '../lock.service.js';
import type { ScheduledCall } from '../scheduling/repeats.js';
import { Group, type ElectionListener, type GroupHost } from './group.js';
import type { Leader } from './leader-watch.js';
import { DEFAULT_GROUP, ElectionPlan, type LeadershipSettings } from './leadership-settings.js';
import type { Leadership, Term } from './term.js';

/** What a call comes to on a replica that does not lead: undefined, or a `NotLeaderError`. */
export type OnFollower = 'skip' | 'throw';

/** The options of `LeaderService.wrap`. */
export interface LeaderWrapOptions {
  /** What a call does on a replica that does not lead. Default `skip`. */
  readonly onFollower?: OnFollower;
}

/** One call of a method that only the leader runs. */
export interface LeaderCall {
  readonly site: string;
  readonly group: string;
  readonly onFollower: OnFollower;
  readonly body: () => unknown;
  /** When it is a schedule that calls. */
  readonly scheduled?: ScheduledCall;
}

/** How long a caller waits for the end of a group. */
export interface LeadershipWait {
  /** Default: 'default'. */
  readonly group?: string;
  /** Gives up waiting when it aborts. */
  readonly signal?: AbortSignal;
}

/**
 * Elections among the replicas of an application: at most one of them leads a group at a time, and each leadership is
 * a term whose number is above those of all earlier ones.
 *
 * A replica stands for election in a group from the application's bootstrap on, when a decorator or the settings name
 * that group; else as soon as it asks about its own part in it (`isLeader`, `term`, `assertLeader`,
 * `waitForLeadership`, `wrap`). To ask who leads (`whoLeads`, `leader$`) makes nobody a candidate.
 */
@Injectable()
export class LeaderService implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(LeaderService.name);
  private readonly plan: ElectionPlan;
  private readonly host: GroupHost;
  private readonly groups = new Map<string, Group>();
  private state: 'new' | 'running' | 'closing' = 'new';
  private readonly closed = new AbortController();

  /** @throws LockConfigurationError when a setting is wrong */
  constructor(
    private readonly locks: LockService,
    settings: LeadershipSettings = {},
  ) {
    this.plan = new ElectionPlan(settings, locks.identity);
    this.host = {
      clock: locks.clock,
      candidateName: this.plan.candidateName,
      contest: (key, options, identity) => locks.contest(key, options, identity),
      within: (lease, body) => locks.within(lease, body),
      inspect: (key) => locks.inspect(key),
      warn: (message) => this.logger.warn(message),
      announce: (event) => locks.announce(event),
    };
    for (const group of this.plan.groups) this.join(group);
  }

  /** Whether this replica leads, by the clock as it is now. */
  isLeader(group?: string): boolean {
    return this.termOf(group) !== undefined;
  }

  /** The number of the leadership of this replica; undefined when it does not lead. */
  term(group?: string): bigint | undefined {
    return this.termOf(group)?.term;
  }

  /**
   * To be called right before a step that only a leader may do. The write itself should carry the term, as a fence:
   * a process can stand still between this line and the next.
   *
   * @returns the present leadership
   * @throws NotLeaderError
   */
  assertLeader(group: string = DEFAULT_GROUP): Leadership {
    const term = this.termOf(group);
    if (term) return term;
    throw notLeader(group);
  }

  /**
   * Resolves as soon as this replica leads.
   *
   * @throws NotLeaderError when it never will: it is no candidate, or the application is closing
   * @throws the reason of `signal` when that aborts first
   */
  async waitForLeadership({ group = DEFAULT_GROUP, signal }: LeadershipWait = {}): Promise<Leadership> {
    const signals = signal ? [signal, this.closed.signal] : [this.closed.signal];
    for (const { aborted, reason } of signals) if (aborted) throw reason;
    if (this.join(group).candidate) return this.groupOf(group).whenElected(...signals);
    throw new NotLeaderError(
      `This replica never leads "${group}": its settings say candidate: false. Wait on one that stands for election.`,
      { group },
    );
  }

  /**
   * Gives the leadership up: the signals of its term abort, `@OnDeposed` runs, and the next candidate leads within
   * milliseconds. This replica stands back for one `retry`, and then stands for election again.
   *
   * @returns false when it did not lead
   */
  async resign(group: string = DEFAULT_GROUP): Promise<boolean> {
    return (await this.groups.get(group)?.candidate?.resign()) ?? false;
  }

  /**
   * Who leads, by the server's word; null when nobody does.
   *
   * @throws LockUnavailableError when the server does not answer
   */
  whoLeads(group: string = DEFAULT_GROUP): Promise<Leader | null> {
    return this.groupOf(group).watch.ask();
  }

  /**
   * Who leads, and every change; whoever subscribes late begins with the present leader. Changes elsewhere are seen
   * within one `retry`, those of this replica at once. While the server is silent, nothing new is said.
   */
  leader$(group: string = DEFAULT_GROUP): Observable<Leader | null> {
    return this.groupOf(group).watch.changes;
  }

  /**
   * A function that does what `fn` does while this replica leads, and nothing otherwise: for callbacks that no
   * decorator reaches, like those of jobs that are made at run time.
   */
  wrap<A extends unknown[], T>(
    fn: (...args: A) => Promise<T> | T,
    group: string = DEFAULT_GROUP,
    options: LeaderWrapOptions = {},
  ): (...args: A) => Promise<T | undefined> {
    if (typeof fn !== 'function') throw new LockConfigurationError('wrap has no function to wrap.');
    const onFollower = checkOnFollower(options.onFollower ?? 'skip', 'wrap');
    const site = fn.name || 'a wrapped function';
    this.join(group);
    return (...args) =>
      this.runJob({ site, group, onFollower, body: () => fn(...args) }) as Promise<T | undefined>;
  }

  /** @internal Stands for election in that group from the bootstrap on. */
  join(name: string): Group {
    const group = this.groupOf(name);
    const candidate = group.stand();
    if (this.state === 'running') candidate?.start();
    return group;
  }

  /** @internal What decorators want to hear of elections. */
  listen(listener: ElectionListener): void {
    this.join(listener.group).listeners.push(listener);
  }

  /** @internal Runs the body as a part of the term, or does what a follower does. */
  async run({ site, group, onFollower, body }: LeaderCall): Promise<unknown> {
    const term = this.termOf(group);
    if (term) return term.run(body);
    if (onFollower === 'throw') throw await this.refusal(group);
    return this.locks.skip(site, `leader:${group}`, 'this replica does not lead');
  }

  /** @internal The same for a job: none begins while the application is closing, and its end waits for it. */
  async runJob(call: LeaderCall): Promise<unknown> {
    const { jobs } = this.locks;
    const { site, group, scheduled } = call;
    const refusal = scheduled
      ? jobs.refusal(scheduled)
      : jobs.closing.aborted && 'the application is closing';
    if (!refusal) return jobs.run(() => this.run(call));
    return this.locks.skip(site, `leader:${group}`, refusal);
  }

  /** @internal The same for a stream: where it may be made, and until when it belongs to the term. */
  async permit(call: LeaderCall): Promise<(make: () => unknown) => Observable<unknown>> {
    const term = this.termOf(call.group);
    if (term) return (make) => term.observe(() => make() as Observable<unknown>);
    if (call.onFollower === 'throw') throw await this.refusal(call.group);
    this.locks.skip(call.site, `leader:${call.group}`, 'this replica does not lead');
    return () => of(undefined);
  }

  /** @internal An error that says who leads instead, as far as that is known. */
  async refusal(group: string): Promise<NotLeaderError> {
    return notLeader(group, (await this.groupOf(group).watch.guess()) ?? undefined);
  }

  onApplicationBootstrap(): void {
    if (this.state !== 'new') return;
    this.state = 'running';
    for (const { candidate } of this.groups.values()) candidate?.start();
  }

  /** Jobs end first, still as leaders; then every leadership is resigned, so that the next replica goes on at once. */
  async onModuleDestroy(): Promise<void> {
    if (this.state === 'closing') return;
    this.state = 'closing';
    const groups = [...this.groups.values()];
    for (const { candidate } of groups) candidate?.retire();
    await this.locks.jobs.drain();
    await Promise.all(groups.map(async ({ candidate }) => candidate?.close()));
    this.closed.abort(
      new NotLeaderError('This replica will not lead any more: the application is closing.', {
        group: DEFAULT_GROUP,
      }),
    );
    for (const { watch } of groups) watch.close();
  }

  private termOf(group: string = DEFAULT_GROUP): Term | undefined {
    return this.join(group).candidate?.term;
  }

  private groupOf(name: string): Group {
    let group = this.groups.get(name);
    if (!group) {
      group = new Group(name, this.host, this.plan.of(name));
      this.groups.set(name, group);
    }
    return group;
  }
}

/** @throws LockConfigurationError when it is no such choice */
export function checkOnFollower(value: unknown, site: string): OnFollower {
  if (value === 'skip' || value === 'throw') return value;
  throw new LockConfigurationError(`onFollower of ${site} is ${show(value)}; give 'skip' or 'throw'.`);
}

function notLeader(group: string, leader?: LeaderInfo): NotLeaderError {
  const who = leader
    ? `${leader.identity} does${leader.address === undefined ? '' : `, at ${leader.address}`}`
    : 'who does is not known here';
  return new NotLeaderError(
    `This replica does not lead "${group}": ${who}. Nothing has run; ask the leader, or wait for leadership.`,
    { group, leader },
  );
}
