import type { LockBackend, NodeHealth } from '../backends/lock-backend.js';
import type { Clock } from './clock.js';
import { durationMs, type Duration } from './duration.js';
import { LockConfigurationError, show } from './errors.js';
import { refuseUnknown } from './options.js';
import { outcomeOf } from './outcome.js';

/** How locks are asked for their health. */
export interface HealthOptions {
  /** After that the answer is `down`. 10 ms to 1 minute; default '800ms', below the 1 s that most probes wait. */
  readonly timeout?: Duration;
  /**
   * An answer younger than that is given again, so that probes are no load: at most one question to the servers in
   * that time, however many ask. Default '1s'.
   */
  readonly maxAge?: Duration;
  /** `ping` (default): each server is asked how it is. `lock`: and a lock is taken and given back. */
  readonly probe?: 'ping' | 'lock';
}

/** The state of the locks of one service. */
export interface LockHealth {
  /**
   * `up`: all is well. `degraded`: locks work, but a server is missing. `down`: they do not, or nobody can tell.
   */
  readonly status: 'up' | 'degraded' | 'down';
  /** The name of the backend. */
  readonly backend: string;
  /** Each server behind it. */
  readonly nodes: readonly NodeHealth[];
  /** How long it took to find out, in milliseconds. */
  readonly latencyMs: number;
  /** A sentence that says what is wrong; absent when it is up. */
  readonly error?: string;
}

type Probe = 'ping' | 'lock';

interface Terms {
  readonly timeoutMs: number;
  readonly maxAgeMs: number;
  readonly probe: Probe;
}

/** One question to the servers, and all who wait for its answer. */
interface Question {
  readonly askedAtMs: number;
  readonly answer: Promise<LockHealth>;
  isAnswered: boolean;
}

/** What a check needs of its service. */
export interface HealthHost {
  readonly clock: Clock;
  readonly backend: LockBackend;
  /** Why there is nothing to be asked; undefined when it runs. */
  obstacle(): string | undefined;
  /** Takes a lock and gives it back; rejects when that is not possible. */
  tryLock(): Promise<void>;
  /** What was found out about the servers. */
  seen(nodes: readonly NodeHealth[]): void;
}

const NAMES: ReadonlySet<string> = new Set(['timeout', 'maxAge', 'probe']);
const TIMEOUT = { minMs: 10, maxMs: 60_000 };
const MAX_AGE = { minMs: 0, maxMs: 3_600_000 };
/** Of the time-out; what is left is for putting the answer together, so that one silent server spoils no answer. */
const SHARE_OF_SERVERS = 0.85;

/** Asks the servers of one service how they are, once for all who ask at about the same time. */
export class Health {
  private readonly latest = new Map<Probe, Question>();

  constructor(private readonly host: HealthHost) {}

  /**
   * Never rejects for what is wrong with the servers.
   *
   * @throws LockConfigurationError when an option is wrong
   */
  async check(options: HealthOptions = {}): Promise<LockHealth> {
    const terms = termsOf(options);
    const obstacle = this.host.obstacle();
    if (obstacle !== undefined) return this.down(obstacle, 0);
    const { clock } = this.host;
    const startMs = clock.now();
    const { answer } = this.questionFor(terms, startMs);
    // whoever joins may have less time than whoever asked
    const outcome = await outcomeOf(clock, terms.timeoutMs, () => answer);
    if (outcome.ok) return outcome.value;
    return this.down(unanswered(terms.timeoutMs), clock.now() - startMs);
  }

  private questionFor(terms: Terms, nowMs: number): Question {
    const latest = this.latest.get(terms.probe);
    if (latest && (!latest.isAnswered || nowMs - latest.askedAtMs < terms.maxAgeMs)) return latest;
    const question: Question = { askedAtMs: nowMs, answer: this.ask(terms, nowMs), isAnswered: false };
    this.latest.set(terms.probe, question);
    void question.answer.then(() => (question.isAnswered = true));
    return question;
  }

  private async ask({ probe, timeoutMs }: Terms, askedAtMs: number): Promise<LockHealth> {
    const { clock, backend } = this.host;
    const limitMs = Math.ceil(timeoutMs * SHARE_OF_SERVERS);
    const [seen, locked] = await Promise.all([
      outcomeOf(clock, timeoutMs, async () => backend.nodes(limitMs)),
      probe === 'lock' ? outcomeOf(clock, timeoutMs, () => this.host.tryLock()) : undefined,
    ]);
    const latencyMs = clock.now() - askedAtMs;
    if (!seen.ok) return this.down(sentence(`Could not ask the servers: ${seen.error.message}`), latencyMs);
    const nodes = seen.value;
    if (!isList(nodes)) return this.down(`The backend says ${show(nodes)} of its servers.`, latencyMs);
    this.host.seen(nodes);
    if (locked && !locked.ok) return this.down(sentence(locked.error.message), latencyMs, nodes);
    return { backend: backend.traits.name, nodes, latencyMs, ...verdictOn(nodes) };
  }

  private down(error: string, latencyMs: number, nodes: readonly NodeHealth[] = []): LockHealth {
    return { status: 'down', backend: this.host.backend.traits.name, nodes, latencyMs, error };
  }
}

function termsOf(options: HealthOptions): Terms {
  refuseUnknown('option of health', options, NAMES);
  const { timeout = 800, maxAge = 1_000, probe = 'ping' } = options;
  if (probe !== 'ping' && probe !== 'lock') {
    throw new LockConfigurationError(`probe is ${show(probe)}; give 'ping' or 'lock'.`);
  }
  return {
    timeoutMs: durationMs('timeout', timeout, TIMEOUT),
    maxAgeMs: durationMs('maxAge', maxAge, MAX_AGE),
    probe,
  };
}

/** Up with all, degraded with a majority of those that are needed, else down. */
function verdictOn(nodes: readonly NodeHealth[]): Pick<LockHealth, 'status' | 'error'> {
  const needed = nodes.filter(({ spare }) => spare !== true);
  const missing = nodes.filter(({ state }) => state !== 'up');
  if (nodes.length > 0 && missing.length === 0) return { status: 'up' };
  const isDown = needed.filter(({ state }) => state === 'up').length * 2 <= needed.length;
  return { status: isDown ? 'down' : 'degraded', error: whatIsMissing(nodes, missing) };
}

function whatIsMissing(nodes: readonly NodeHealth[], missing: readonly NodeHealth[]): string {
  if (nodes.length === 0) return 'The backend knows no server.';
  const list = missing.map(({ node, role, error = 'it is down' }) => `${node} (${role}): ${error}`);
  const count = `${missing.length} of ${nodes.length} ${nodes.length === 1 ? 'server is' : 'servers are'}`;
  return sentence(nodes.length === 1 ? (list[0] ?? '') : `${count} down. ${list.join('; ')}`);
}

function unanswered(timeoutMs: number): string {
  return `The locks did not answer within ${Math.round(timeoutMs)} ms.`;
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** Backends may be anybody's. */
function isList(nodes: unknown): nodes is readonly NodeHealth[] {
  return Array.isArray(nodes) && nodes.every((node) => typeof node === 'object' && node !== null);
}
