import {
  isGrant,
  type BackendContext,
  type BackendTraits,
  type Claim,
  type Grant,
  type LockBackend,
  type LockSnapshot,
  type NodeHealth,
  type Place,
  type RenewOutcome,
} from '../../backends/lock-backend.js';

/** Notes which claims may still have something on the server, so that a test need not tidy up after itself. */
export class TrackedBackend implements LockBackend {
  readonly traits: BackendTraits;
  readonly stay?: (claims: readonly Claim[]) => Promise<readonly boolean[]>;

  /** @param open the claims of all clients of a test, by key and owner */
  constructor(
    private readonly inner: LockBackend,
    private readonly open: Map<string, Claim>,
  ) {
    this.traits = inner.traits;
    if (inner.stay) this.stay = async (claims) => (await inner.stay?.(claims)) ?? [];
  }

  start(context: BackendContext): Promise<void> {
    return this.inner.start(context);
  }

  async claim(claim: Claim): Promise<Grant | Place> {
    this.open.set(nameOf(claim), claim);
    return this.track(claim, await this.inner.claim(claim));
  }

  async abandon(claim: Claim): Promise<void> {
    await this.inner.abandon(claim);
    this.open.delete(nameOf(claim));
  }

  renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    return this.inner.renew(grants);
  }

  async release(grant: Grant, lingerMs?: number, followed?: boolean): Promise<'released' | 'gone'> {
    const outcome = await this.inner.release(grant, lingerMs, followed);
    this.open.delete(nameOf(grant.claim));
    return outcome;
  }

  inspect(key: string): Promise<LockSnapshot | null> {
    return this.inner.inspect(key);
  }

  list(prefix: string): AsyncIterable<LockSnapshot> {
    return this.inner.list(prefix);
  }

  evict(key: string): Promise<boolean> {
    return this.inner.evict(key);
  }

  nodes(limitMs?: number): Promise<readonly NodeHealth[]> {
    return this.inner.nodes(limitMs);
  }

  stop(): Promise<void> {
    return this.inner.stop();
  }

  private track(claim: Claim, answer: Grant | Place): Grant | Place {
    if (isGrant(answer)) return answer;
    return {
      busy: answer.busy,
      onHint: (wake) => answer.onHint(wake),
      retry: async () => {
        this.open.set(nameOf(claim), claim);
        return this.track(claim, await answer.retry());
      },
    };
  }
}

function nameOf({ key, owner }: Claim): string {
  return `${key} ${owner}`;
}
