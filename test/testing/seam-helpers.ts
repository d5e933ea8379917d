import {
  isGrant,
  type BackendContext,
  type Claim,
  type Grant,
  type Place,
} from '../../lib/backends/lock-backend.js';
import type { Clock } from '../../lib/core/clock.js';

let owners = 0;

export function claimOf(given: Partial<Claim> = {}): Claim {
  const owner = `owner-${++owners}`;
  return { key: 'key', owner, mode: 'exclusive', take: 1, of: 1, ttlMs: 10_000, queue: true, ...given };
}

/** A context that writes down what it is told. */
export class NotingContext implements BackendContext {
  readonly identity = 'test';
  readonly doubts: (string | undefined)[] = [];
  readonly reports: Error[] = [];

  constructor(readonly clock: Clock) {}

  doubt(owner?: string): void {
    this.doubts.push(owner);
  }

  report(error: Error): void {
    this.reports.push(error);
  }
}

export async function granted(answer: Promise<Grant | Place>): Promise<Grant> {
  const settled = await answer;
  if (!isGrant(settled)) throw new Error(`busy: ${JSON.stringify(settled.busy)}`);
  return settled;
}

export async function busy(answer: Promise<Grant | Place>): Promise<Place> {
  const settled = await answer;
  if (isGrant(settled)) throw new Error(`granted: fence ${settled.fence}`);
  return settled;
}
