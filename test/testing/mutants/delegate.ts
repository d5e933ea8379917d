import type {
  BackendContext,
  BackendTraits,
  Claim,
  Grant,
  LockBackend,
  LockSnapshot,
  NodeHealth,
  Place,
  RenewOutcome,
} from '../../../lib/backends/lock-backend.js';

/** A backend that does what another one does; a mutant overrides what it does wrong. */
export class Delegate implements LockBackend {
  readonly traits: BackendTraits;
  readonly stay?: (claims: readonly Claim[]) => Promise<readonly boolean[]>;

  constructor(protected readonly inner: LockBackend) {
    this.traits = inner.traits;
    if (inner.stay) this.stay = (claims) => this.showLife(claims);
  }

  start(context: BackendContext): Promise<void> {
    return this.inner.start(context);
  }

  claim(claim: Claim): Promise<Grant | Place> {
    return this.inner.claim(claim);
  }

  abandon(claim: Claim): Promise<void> {
    return this.inner.abandon(claim);
  }

  renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    return this.inner.renew(grants);
  }

  release(grant: Grant, lingerMs?: number): Promise<'released' | 'gone'> {
    return this.inner.release(grant, lingerMs);
  }

  inspect(key: string): Promise<LockSnapshot | null> {
    return this.inner.inspect(key);
  }

  list(prefix: string): AsyncIterable<LockSnapshot | undefined> {
    return this.inner.list(prefix);
  }

  evict(key: string): Promise<boolean> {
    return this.inner.evict(key);
  }

  protected async showLife(claims: readonly Claim[]): Promise<readonly boolean[]> {
    return (await this.inner.stay?.(claims)) ?? [];
  }

  nodes(limitMs?: number): Promise<readonly NodeHealth[]> {
    return this.inner.nodes(limitMs);
  }

  stop(): Promise<void> {
    return this.inner.stop();
  }
}

/** Asks by `ask` at each retry as well; hints go through `onHint`. */
export function placeOf(
  inner: Place,
  ask: () => Promise<Grant | Place>,
  onHint: (wake: () => void) => void = (wake) => inner.onHint(wake),
): Place {
  return { busy: inner.busy, onHint, retry: ask };
}
