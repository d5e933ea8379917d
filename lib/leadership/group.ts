import { forgetAbort, onceAborted } from '../core/abort.js';
import { errorMessage } from '../core/errors.js';
import { Candidate, type ElectionHost, type Voters } from './candidate.js';
import { LeaderWatch, type Leader } from './leader-watch.js';
import { replicaOf, type Election } from './leadership-settings.js';
import type { Leadership, Term } from './term.js';
import type { LockSnapshot } from '../backends/lock-backend.js';

/** A method that is told of elections. */
export interface ElectionListener {
  /** `Reports.open`, for messages. */
  readonly site: string;
  readonly group: string;
  readonly when: 'elected' | 'deposed';
  call(leadership: Leadership): unknown;
}

/** What a group needs of its surroundings. */
export interface GroupHost extends ElectionHost {
  /** The owner of a leader's lock begins with it. */
  readonly candidateName: string;
  inspect(key: string): Promise<LockSnapshot | null>;
  /** Something to act on, in a sentence. Never throws. */
  warn(message: string): void;
  announce(event: {
    readonly type: 'elected' | 'deposed';
    readonly group: string;
    readonly term: bigint;
  }): void;
}

/** One group as one replica sees it: its own candidacy if it stands for election, who leads, and who is told. */
export class Group implements Voters {
  readonly watch: LeaderWatch;
  readonly listeners: ElectionListener[] = [];
  candidate: Candidate | undefined;
  private readonly hopeful = new Set<(term: Term) => void>();

  constructor(
    readonly name: string,
    private readonly host: GroupHost,
    readonly election: Election,
  ) {
    const inspect = (key: string): Promise<LockSnapshot | null> => host.inspect(key);
    this.watch = new LeaderWatch(name, host.clock, inspect, election.retryMs);
  }

  /** Makes a candidate of this replica, unless it is to be an observer. */
  stand(): Candidate | undefined {
    const { name, host, election } = this;
    if (!this.candidate && election.candidate) {
      this.candidate = new Candidate(name, host, election, host.candidateName, this);
    }
    return this.candidate;
  }

  /** Resolves with the present or the next term of this replica; rejects with the reason of whatever aborts first. */
  whenElected(...signals: readonly AbortSignal[]): Promise<Term> {
    const present = this.candidate?.term;
    if (present) return Promise.resolve(present);
    return new Promise((resolve, reject) => {
      const listeners = signals.map((signal) => {
        const listener = (): void => {
          end();
          reject(signal.reason as Error);
        };
        return { signal, listener };
      });
      const onTerm = (term: Term): void => {
        end();
        resolve(term);
      };
      const end = (): void => {
        this.hopeful.delete(onTerm);
        for (const { signal, listener } of listeners) forgetAbort(signal, listener);
      };
      this.hopeful.add(onTerm);
      for (const { signal, listener } of listeners) onceAborted(signal, listener);
    });
  }

  async elected(term: Term): Promise<void> {
    this.watch.learn(this.describe(term));
    this.host.announce({ type: 'elected', group: this.name, term: term.term });
    for (const tell of this.hopeful) tell(term);
    await this.tell('elected', term);
  }

  async deposed(leadership: Leadership): Promise<void> {
    this.host.announce({ type: 'deposed', group: this.name, term: leadership.term });
    await this.tell('deposed', leadership);
  }

  gone(): void {
    this.watch.learn(null);
  }

  failed(error: unknown): void {
    this.host.warn(
      `The election of a leader for "${this.name}" failed, and is repeated: ${errorMessage(error)}`,
    );
  }

  private describe({ term }: Leadership): Leader {
    return { group: this.name, ...replicaOf(`${this.host.candidateName}~`), term };
  }

  /** All side by side; what one of them throws harms neither the others nor the leadership. */
  private async tell(when: ElectionListener['when'], leadership: Leadership): Promise<void> {
    const calls = this.listeners
      .filter((listener) => listener.when === when)
      .map(async ({ site, call }) => {
        try {
          await call(leadership);
        } catch (error) {
          this.host.warn(
            `${site} failed when this replica was ${when} as the leader of "${this.name}" (term ${leadership.term}); the election goes on. ${errorMessage(error)}`,
          );
        }
      });
    await Promise.all(calls);
  }
}
