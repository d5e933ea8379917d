import { durationMs, type Duration } from '../core/duration.js';
import { LockConfigurationError, show } from '../core/errors.js';
import { deadlineOf } from '../core/hold.js';
import { refuseUnknown } from '../core/options.js';

/** How one group elects its leader. `ttl > renewDeadline > retry × 1.2`. */
export interface ElectionSettings {
  /** Whether this replica stands for election; one that does not can see who leads. Default true. */
  readonly candidate?: boolean;
  /** How long a leader that is not heard of any more keeps the others out. Default '15s'. */
  readonly ttl?: Duration;
  /** A leader whose last confirmed renewal was sent so long ago steps down by itself. Default: two thirds of `ttl`. */
  readonly renewDeadline?: Duration;
  /**
   * How often a leader renews, how long it stands back after it resigned, and how often others look who leads.
   * Default: a fifth of `renewDeadline`.
   */
  readonly retry?: Duration;
  /**
   * How long the end of a leadership waits for guarded methods that still run, and then for `@OnDeposed`, before
   * somebody else can lead. Default: what lies between `renewDeadline` and `ttl`.
   */
  readonly stepDownTimeout?: Duration;
}

/** How the groups of an application elect their leaders. */
export interface LeadershipSettings extends ElectionSettings {
  /**
   * Where others reach this replica when it leads, for `whoLeads` and `NotLeaderError`: a URL without a query, or any
   * other text of letters, digits and `_ . : @ / -`. Together with the `identity` at most 92 characters.
   */
  readonly address?: string;
  /** What is otherwise for some groups, by their names. All of these elect from the start. */
  readonly groups?: Readonly<Record<string, ElectionSettings>>;
}

/** Settings with everything said, and checked. */
export interface Election {
  readonly candidate: boolean;
  readonly ttlMs: number;
  readonly retryMs: number;
  /** When no more than that is left of the lease, the renew deadline has passed. */
  readonly spareMs: number;
  readonly stepDownMs: number;
}

const TTL = { minMs: 100, maxMs: 86_400_000 };
const PART = { minMs: 5, maxMs: 86_400_000 };
const STEP_DOWN = { minMs: 0, maxMs: 600_000 };
const ELECTION: readonly string[] = ['candidate', 'ttl', 'renewDeadline', 'retry', 'stepDownTimeout'];
const NAMES: ReadonlySet<string> = new Set([...ELECTION, 'address', 'groups']);
const GROUP_NAMES: ReadonlySet<string> = new Set(ELECTION);
/** Less would leave no room for a renewal that is late. */
const LEAST_RATIO = 1.2;
/** Of the 128 characters of an owner: less the number by which each is unique. */
const LONGEST_NAME = 93;

/** The group that is meant when none is named. */
export const DEFAULT_GROUP = 'default';

/** All settings, checked at the start, before anybody stands for anything. */
export class ElectionPlan {
  /** What the owner of a leader's lock begins with: who it is and, behind the first slash, where. */
  readonly candidateName: string;
  /** The groups that were named, apart from those of decorators. */
  readonly groups: readonly string[];
  private readonly usual: ElectionSettings;
  private readonly special: Readonly<Record<string, ElectionSettings>>;

  /** @throws LockConfigurationError that says which setting is wrong, and how */
  constructor(settings: LeadershipSettings, identity: string) {
    refuseUnknown('leadership setting', settings, NAMES);
    const { address, groups = {}, ...usual } = settings;
    this.candidateName = candidateName(identity, address);
    this.usual = usual;
    this.special = checkGroups(groups);
    this.groups = Object.keys(groups);
    electionOf(usual, 'leadership');
    for (const group of this.groups) this.of(group);
  }

  /** @throws LockConfigurationError when the name is none */
  of(group: string): Election {
    const own = Object.hasOwn(this.special, checkGroup(group)) ? this.special[group] : {};
    return electionOf({ ...this.usual, ...own }, `leadership of "${group}"`);
  }
}

/** The key of the lock that a leader holds. */
export function leaderKey(group: string): string {
  return `leader:${checkGroup(group)}`;
}

/** @throws LockConfigurationError when the name is none */
export function checkGroup(group: unknown): string {
  if (typeof group === 'string' && /^[\w.:@/-]{1,100}$/.test(group)) return group;
  throw new LockConfigurationError(
    `The name of a group is ${show(group)}; give 1 to 100 letters, digits or any of _ . : @ / -`,
  );
}

/** The other way round: what an owner says about its replica. */
export function replicaOf(owner: string): {
  readonly identity: string;
  readonly address: string | undefined;
} {
  const name = owner.slice(0, owner.lastIndexOf('~'));
  const slash = name.indexOf('/');
  if (slash < 0) return { identity: name, address: undefined };
  return { identity: name.slice(0, slash), address: name.slice(slash + 1) };
}

function checkGroups(groups: unknown): Readonly<Record<string, ElectionSettings>> {
  if (typeof groups !== 'object' || groups === null || Array.isArray(groups)) {
    throw new LockConfigurationError(
      `groups of leadership is ${show(groups)}; give an object like { reports: { ttl: '5s' } }.`,
    );
  }
  for (const settings of Object.values(groups)) refuseUnknown('setting of a group', settings, GROUP_NAMES);
  return groups as Readonly<Record<string, ElectionSettings>>;
}

function candidateName(identity: string, address: unknown): string {
  if (address === undefined) return identity;
  if (typeof address !== 'string' || !/^[A-Za-z0-9_.:@/-]+$/.test(address)) {
    throw new LockConfigurationError(
      `address of leadership is ${show(address)}; give letters, digits or any of _ . : @ / - (a URL without a query).`,
    );
  }
  const name = `${identity}/${address}`;
  if (name.length <= LONGEST_NAME) return name;
  throw new LockConfigurationError(
    `address of leadership (${address.length} characters) and identity (${identity.length}) are together longer than ${LONGEST_NAME - 1}; shorten one of them.`,
  );
}

function electionOf(settings: ElectionSettings, whose: string): Election {
  const { candidate = true, ttl = 15_000 } = settings;
  if (typeof candidate !== 'boolean')
    throw new LockConfigurationError(`candidate of ${whose} is ${show(candidate)}; give true or false.`);
  const ttlMs = durationMs(`ttl of ${whose}`, ttl, TTL);
  const { renewDeadline = Math.round((ttlMs * 2) / 3) } = settings;
  const renewDeadlineMs = durationMs(`renewDeadline of ${whose}`, renewDeadline, PART);
  const { retry = Math.max(PART.minMs, Math.round(renewDeadlineMs / 5)) } = settings;
  const retryMs = durationMs(`retry of ${whose}`, retry, PART);
  const spareMs = deadlineOf(0, ttlMs) - renewDeadlineMs;
  if (spareMs <= 0) {
    throw new LockConfigurationError(
      `renewDeadline of ${whose} (${renewDeadlineMs} ms) is not shorter than its ttl (${ttlMs} ms) less 1 % for clocks that drift and 2 ms; a leader would step down when somebody else can lead already. Make it about two thirds of ttl.`,
    );
  }
  if (renewDeadlineMs <= retryMs * LEAST_RATIO) {
    throw new LockConfigurationError(
      `renewDeadline of ${whose} (${renewDeadlineMs} ms) leaves no room for a late renewal: it must be longer than ${LEAST_RATIO} times retry (${retryMs} ms). Make it several times as long.`,
    );
  }
  const { stepDownTimeout = Math.round(spareMs) } = settings;
  const stepDownMs = durationMs(`stepDownTimeout of ${whose}`, stepDownTimeout, STEP_DOWN);
  return { candidate, ttlMs, retryMs, spareMs, stepDownMs };
}
