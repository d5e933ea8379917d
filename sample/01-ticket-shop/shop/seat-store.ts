import { FenceGuard } from 'nestjs-interlock';
import { Subject } from 'rxjs';

/** Where the seats are, as a replica sees it. */
export abstract class SeatStore {
  /** Who has bought the seat. */
  abstract read(seatId: string, fence: bigint | undefined): Promise<string | undefined>;
  /** @throws StaleFenceError when a newer holder of the lock was here */
  abstract write(seatId: string, buyer: string, fence: bigint | undefined): Promise<void>;
}

/** A visit of a replica to the store. */
export interface Visit {
  readonly seatId: string;
  readonly does: 'read' | 'write';
  readonly fence: bigint | undefined;
  /** False: the fence was too old, and nothing was done. */
  readonly accepted: boolean;
  /** Whether the seat was sold by then. */
  readonly sold: boolean;
  readonly atMs: number;
}

/**
 * The store itself, outside of all replicas, and the judge of them: like a table without a unique constraint it
 * lets a seat be sold twice, and counts. What it does refuse is a fence older than one it has seen.
 */
export class GuardedSeatStore extends SeatStore {
  readonly visits: Visit[] = [];
  readonly visits$ = new Subject<Visit>();
  private readonly guard = new FenceGuard();
  private readonly buyers = new Map<string, string[]>();

  async read(seatId: string, fence: bigint | undefined): Promise<string | undefined> {
    this.admit('read', seatId, fence);
    return this.buyers.get(seatId)?.at(0);
  }

  async write(seatId: string, buyer: string, fence: bigint | undefined): Promise<void> {
    this.admit('write', seatId, fence);
    this.buyers.set(seatId, [...(this.buyers.get(seatId) ?? []), buyer]);
  }

  timesSold(seatId: string): number {
    return this.buyers.get(seatId)?.length ?? 0;
  }

  /** Without the lock there is no fence, and so nothing to compare. */
  private admit(does: Visit['does'], seatId: string, fence: bigint | undefined): void {
    const accepted = fence === undefined || this.guard.accepts(seatId, fence);
    const sold = does === 'write' || this.timesSold(seatId) > 0;
    const visit = { seatId, does, fence, accepted, sold, atMs: performance.now() };
    this.visits.push(visit);
    this.visits$.next(visit);
    if (!accepted) this.guard.check(seatId, fence);
  }
}
