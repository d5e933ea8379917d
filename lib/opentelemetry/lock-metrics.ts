import type { Attributes, BatchObservableResult, Counter, Histogram, Meter } from '@opentelemetry/api';
import type { LockEvent, LockMessage, LockSubject } from '../core/events.js';
import type { LockService } from '../lock.service.js';

/** In seconds: from a hand-off on the same machine to a job of an hour. */
const BUCKETS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600,
];

/** Patterns are few; whoever puts keys into them gets no more labels than that, and the rest in one. */
const MOST_LABELS = 1_000;
const OTHER = 'other';

/** What the locks of one service do, as counters, histograms and gauges. Labels are patterns, never keys. */
export class LockMetrics {
  private readonly base: Attributes;
  private readonly acquisitions: Counter;
  private readonly waits: Histogram;
  private readonly holds: Histogram;
  private readonly losses: Counter;
  private readonly lateRenewals: Counter;
  private readonly skips: Counter;
  private readonly cleanups: Counter;
  private readonly errors: Counter;
  /** By mode and pattern, of all that were ever seen: a gauge of which nothing is left says 0. */
  private readonly labels = new Map<string, Attributes>();
  /** The groups that were ever led, and whether they are now. */
  private readonly leads = new Map<string, boolean>();
  private readonly stopObserving: () => void;

  /** @param asksHealth whether each collection asks the servers how they are, by way of the cached health check */
  constructor(
    private readonly locks: LockService,
    meter: Meter,
    about: LockMessage['locks'],
    asksHealth: boolean,
  ) {
    this.base = labelsOf(about);
    const seconds = { unit: 's', advice: { explicitBucketBoundaries: BUCKETS } };
    this.acquisitions = meter.createCounter('interlock.acquisitions', {
      description: 'Acquisitions, by what they came to',
    });
    this.waits = meter.createHistogram('interlock.wait.duration', {
      description: 'How long callers waited for a lock',
      ...seconds,
    });
    this.holds = meter.createHistogram('interlock.hold.duration', {
      description: 'How long locks were held',
      ...seconds,
    });
    this.losses = meter.createCounter('interlock.losses', {
      description: 'Locks that were lost while they were held, by how that was noticed',
    });
    this.lateRenewals = meter.createCounter('interlock.renewals.late', {
      description: 'Renewals that a blocked event loop held up',
    });
    this.skips = meter.createCounter('interlock.skips', { description: 'Guarded methods that did not run' });
    this.cleanups = meter.createCounter('interlock.cleanups', {
      description: 'What may have been left on the lock server, by what became of it',
    });
    this.errors = meter.createCounter('interlock.backend.errors', {
      description: 'Trouble of the backend that no caller hears of',
    });
    this.stopObserving = this.observe(meter, asksHealth);
  }

  stop(): void {
    this.stopObserving();
  }

  count(event: LockEvent): void {
    switch (event.type) {
      case 'acquired':
        this.waits.record(event.waitedMs / 1000, this.label(event));
        return this.acquisitions.add(1, { ...this.label(event), 'interlock.outcome': 'acquired' });
      case 'reentered':
        return this.acquisitions.add(1, { ...this.label(event), 'interlock.outcome': 'reentered' });
      case 'busy':
        return this.acquisitions.add(1, { ...this.label(event), 'interlock.outcome': 'busy' });
      case 'unavailable':
        return this.acquisitions.add(1, { ...this.label(event), 'interlock.outcome': event.certainty });
      case 'released':
        return this.holds.record(event.heldMs / 1000, this.label(event));
      case 'lost':
        this.holds.record(event.heldMs / 1000, this.label(event));
        return this.losses.add(1, { ...this.label(event), 'interlock.reason': event.reason });
      case 'renewed-late':
        return this.lateRenewals.add(1, this.label(event));
      case 'skipped':
        return this.skips.add(1, { ...this.base, 'interlock.site': event.site });
      case 'cleanup-owed':
      case 'cleanup-paid':
      case 'cleanup-expired':
        return this.cleanups.add(1, { ...this.base, 'interlock.state': event.type.slice('cleanup-'.length) });
      case 'backend-error':
        return this.errors.add(1, this.base);
      case 'elected':
      case 'deposed':
        this.leads.set(event.group, event.type === 'elected');
        return;
      case 'waiting':
      case 'held-long':
      case 'release-failed':
      case 'crowded':
      case 'node-down':
      case 'node-up':
        // the gauges tell, or the log
        return;
    }
  }

  private label(subject: Pick<LockSubject, 'mode' | 'pattern'>): Attributes {
    const id = idOf(subject);
    let label = this.labels.get(id);
    if (!label) {
      if (this.labels.size >= MOST_LABELS && subject.pattern !== OTHER)
        return this.label({ mode: subject.mode, pattern: OTHER });
      const { mode, pattern = 'none' } = subject;
      label = { ...this.base, 'interlock.mode': mode, 'interlock.pattern': pattern };
      this.labels.set(id, label);
    }
    return label;
  }

  private observe(meter: Meter, asksHealth: boolean): () => void {
    const gauge = (name: string, description: string) => meter.createObservableGauge(name, { description });
    const held = gauge('interlock.held', 'Locks that this process holds');
    const waiting = gauge('interlock.waiting', 'Callers of this process that wait for a lock');
    const owed = gauge('interlock.owed', 'Clean-ups that are owed to the lock server');
    const leader = gauge('interlock.leader', 'Whether this replica leads the group');
    const up = gauge('interlock.node.up', 'Whether a server behind the locks is up');
    const gauges = [held, waiting, owed, leader, ...(asksHealth ? [up] : [])];

    const look = async (result: BatchObservableResult): Promise<void> => {
      const { census } = this.locks;
      const counts = new Map<Attributes, { held: number; waiting: number }>();
      for (const found of census) {
        const count = counts.get(this.label(found)) ?? { held: 0, waiting: 0 };
        count.held += found.held;
        count.waiting += found.waiting;
        counts.set(this.label(found), count);
      }
      for (const attributes of this.labels.values()) {
        result.observe(held, counts.get(attributes)?.held ?? 0, attributes);
        result.observe(waiting, counts.get(attributes)?.waiting ?? 0, attributes);
      }
      result.observe(owed, this.locks.gauges.owed, this.base);
      for (const [group, isLeader] of this.leads)
        result.observe(leader, isLeader ? 1 : 0, { ...this.base, 'interlock.group': group });
      if (!asksHealth) return;
      const { nodes } = await this.locks.health();
      for (const { node, role, state } of nodes)
        result.observe(up, state === 'up' ? 1 : 0, {
          ...this.base,
          'interlock.node': node,
          'interlock.role': role,
        });
    };
    meter.addBatchObservableCallback(look, gauges);
    return () => meter.removeBatchObservableCallback(look, gauges);
  }
}

function idOf({ mode, pattern }: Pick<LockSubject, 'mode' | 'pattern'>): string {
  return pattern === undefined ? mode : `${mode} ${pattern}`;
}

/** Of everything that is said about one service. */
export function labelsOf({ name, backend }: LockMessage['locks']): Attributes {
  return { 'interlock.backend': backend, ...(name !== undefined && { 'interlock.name': name }) };
}
